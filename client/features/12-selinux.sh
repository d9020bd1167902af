# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# SELinux is off, where an image has it. What is written before the image's own init has no labels, and most images have
# none at all, because they are packed from a directory of another system. With its policy nothing could read such files.

[ -f "$new/etc/selinux/config" ] || return 0
write "$new/etc/selinux/config" "$(sed 's/^[[:space:]]*SELINUX=.*/SELINUX=disabled/' "$new/etc/selinux/config")"

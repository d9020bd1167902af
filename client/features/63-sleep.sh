# needs: LTSP_API 1
# ltsp: polkit_main
# shellcheck shell=dash disable=SC2154
# Clients don't go to sleep: desktops do that when nobody has used them for a while, and then no order, no message and no
# update of an account reaches them. Hibernation would never end, because a client does not boot from its own disk.

write "$run/systemd/sleep.conf.d/ltsp.conf" "[Sleep]
AllowSuspend=no
AllowHibernation=no"

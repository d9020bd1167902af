# shellcheck shell=dash disable=SC2154
# Functions for initramfs-tools' init, which reads this file (BOOT=ltspd) and calls them. Resume and other work for
# local disks is left out.

mount_top() {
    :
}

mount_premount() {
    :
}

mountroot() {
    sh /ltsp/client/guest/enter.sh "$rootmnt" || panic "The root could not be mounted; what ltspd said is above."
}

mount_bottom() {
    :
}

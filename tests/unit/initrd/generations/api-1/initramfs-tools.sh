# shellcheck shell=dash disable=SC2154
# The way of initramfs-tools to boot (BOOT=ltspd): read by its init, which calls these at their time.
# Resume and other work for local disks is left out.

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

# shellcheck shell=dash disable=SC2154
# dracut runs this until something is mounted at its new root.
[ -d "$NEWROOT/usr" ] || sh /ltsp/client/guest/enter.sh "$NEWROOT"

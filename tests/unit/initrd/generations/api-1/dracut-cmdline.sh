# shellcheck shell=dash disable=SC2034
# dracut asks in these two variables whether anybody knows how to mount the root.
root=ltspd
rootok=1

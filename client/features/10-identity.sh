# needs: LTSP_API 1
# ltsp: config_machine_id config_hostname
# shellcheck shell=dash disable=SC2154
# The host name, and a machine id that belongs to the card: the same machine has the same id at each boot, so that
# it has one journal, one D-Bus id and one entry in the homes on the server, not a new one each time.

write "$new/etc/hostname" "$hostname"
sum=$(md5sum <<END
ltsp $mac
END
)
write "$new/etc/machine-id" "${sum%% *}"

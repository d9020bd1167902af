# needs: LTSP_API 1
# live
# parameter: SERVER line "" Address of the host that clients know as 'server'
# parameter: HOSTS_* text "" A line for a client's /etc/hosts
# ltsp: networking_main config_hosts
# shellcheck shell=dash disable=SC2154
# /etc/hosts. The host's name stands for its real address, not for 127.0.1.1: Kerberos and other programs that
# compare names with addresses would fail.

# SERVER= says only what clients call "server": their root and their reports stay with the machine that they booted
# from. In a trial there is no other machine.
named=$SERVER
if [ "$trial" = 1 ] || ! is_ipv4 "$named"; then named=''; fi
write "$new/etc/hosts" "127.0.0.1 localhost
$address ${search:+$hostname.${search%% *} }$hostname
${named:-$server} server
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters"
family HOSTS >>"$new/etc/hosts"

# shellcheck shell=dash disable=SC2154,SC2034,SC1091,SC2153
# What ltsp.conf says for this client, and what follows from that for everything after it. Uses text.sh. DNS_SERVER and
# SEARCH_DOMAIN are read here too; the server reads them as well and declares them (ltspd/plan.py).
#
# parameter: HOSTNAME hostname "ltsp%{IP}" Host name; may contain %{IP} and %{MAC}
# parameter: IMAGE_TO_RAM bool "0" Copy the image to memory
# parameter: ROOT_SIZE line "50%" Most RAM for what changes in the root of a client, as 2G or part of the RAM
# parameter: DEBUG_SHELL bool "0" Open a shell where the boot of a client fails

# settings APPLET: set a variable for each setting of this client, of the same name, as it counts for a part of its life:
# initrd-bottom (until the root is mounted) or init. What code has made of them (boot/code.sh) counts where it ran.
settings() {
    if [ -f "$run/ltsp-code/$1" ]; then
        # shellcheck disable=SC2086,SC1090
        unset $ltsp_dumped
        # shellcheck source=/dev/null
        . "$run/ltsp-code/$1"
    elif [ -f "$ltsp/settings" ]; then
        ltsp_settings "$mac" "$address" "$given_name" "$server" "$1"
    fi
}

# load_settings: read the settings from ltsp.img; set hostname, dns, search and root_size, and where they say so also
# transport and debug_shell.
load_settings() {
    # If ltsp.img has no settings, these count, and not what the kernel has made of its command line.
    HOSTNAME=$given_name SERVER=$server DNS_SERVER='' SEARCH_DOMAIN='' IMAGE_TO_RAM='' ROOT_SIZE=''
    DEBUG_SHELL='' DEBUG_LOG=''
    ltsp_code='' ltsp_hooks='' ltsp_applets='' ltsp_known='' ltsp_dumped='' failed_code=''
    [ ! -f "$ltsp/settings" ] || . "$ltsp/settings"
    if has_code || has_hooks INITRD_BOTTOM PRE; then run_code here initrd-bottom PRE values; fi
    settings initrd-bottom
    [ "$DEBUG_SHELL" != 1 ] || debug_shell=1
    [ "$IMAGE_TO_RAM" != 1 ] || [ -z "$base" ] || transport=http
    # With a size that the kernel can't read there would be no root at all.
    root_size=$(amount "${ROOT_SIZE:=50%}")
    [ -n "$root_size" ] || say "ROOT_SIZE is left out: it is neither a size such as 2G nor a part such as 50%"
    : "${root_size:=50%}"
    if [ -n "$ltsp_applets" ] && ! has_code; then settings init; fi
    take_settings_of_boot
}

# take_settings_of_boot: set hostname, dns and search as the settings say.
take_settings_of_boot() {
    local key value servers=''
    hostname=$(host_name "$HOSTNAME" "$address" "$netmask" "$mac")
    split "$SEARCH_DOMAIN"
    search=$words
    # The server's own domain and name servers count also where another DHCP server gave the address.
    while read -r key value; do
        case "$key" in
            search) search=${search:-$value} ;;
            nameserver) servers=${servers:+$servers }$value ;;
        esac
    done 2>/dev/null <"$ltsp/resolver"
    split "$DNS_SERVER" ,
    dns=${words:-${servers:-$dns}}
}

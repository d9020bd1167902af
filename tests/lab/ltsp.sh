# shellcheck shell=dash disable=SC2154
# Runs inside the sandbox of ltsp.py, where LTSP is installed: says which values its own code works out.
# A question is a line: its number, who asks (client or server), applet, MAC, IP, host name, file; "-" is empty.
# The answer is in a file of that number: the environment afterwards, if LTSP came so far. If "ours" asks, the file is
# what our clients run, and the answer are the settings that they have then. "menu" is the server that makes the boot
# menu: then MENUS is what it says of single clients. "hooks" is a client that runs the hooks of the applet, too, and
# "our-hooks" one of ours.
# shellcheck source=/dev/null
. /usr/share/ltsp/ltsp

empty() { [ "$1" = - ] || printf '%s' "$1"; }

# A client that can't boot waits here for ever.
sleep() { exit 1; }

while read -r number kind _APPLET mac ip name file; do
    case "$kind" in ours) work='PRE values' ;; our-hooks) work='PRE POST values' ;; *) work='' ;; esac
    if [ -n "$work" ]; then
        # shellcheck disable=SC2086
        dash "/mnt/questions/$file" "$_APPLET" $work </dev/null >"/mnt/questions/$number.said" 2>&1 || true
        (
            # shellcheck source=/dev/null
            . "/mnt/questions/$_APPLET"
            for each in $ltsp_dumped; do eval "printf '%s=%s\\0' $each \"\$$each\""; done
        ) >"/mnt/questions/$number.values" || true
        echo "$number"
        continue
    fi
    if [ "$kind" = client ] || [ "$kind" = hooks ]; then mkdir -p /run/ltsp/client; else rm -rf /run/ltsp/client; fi
    (
        MAC_ADDRESS=$(empty "$mac")
        IP_ADDRESS=$(empty "$ip")
        HOSTNAME=$(empty "$name")
        export MAC_ADDRESS IP_ADDRESS HOSTNAME DEVICE=eth0
        unset mac ip name
        # Now each variable that the file sets is in the environment.
        set -a
        re eval_ini "/mnt/questions/$file"
        if [ "$kind" = menu ]; then
            # shellcheck source=/dev/null
            . /usr/share/ltsp/server/ipxe/55-ipxe.sh
            # shellcheck disable=SC2034
            MENUS=$(client_sections)
        fi
        if [ "$kind" = hooks ]; then
            re run_parameters PRE
            re run_parameters POST
        fi
        env -0 >"/mnt/questions/$number.values"
    ) </dev/null >"/mnt/questions/$number.said" 2>&1 || true
    echo "$number"
done

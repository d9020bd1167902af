# shellcheck shell=dash disable=SC2154
# Look how full the RAM for changes in the root is: what ltsp-space.service runs in the booted system.
# features/87-space.sh puts `store`, `busybox` and orders.sh before this. No file system in RAM tells that it gets full.

# measure: set used to the percentage that is taken, and left to the megabytes that are free.
measure() {
    local blocks free unit
    read -r unit blocks free <<-END
	$("$busybox" stat -f -c '%S %b %f' "$store")
	END
    used=$((100 - free * 100 / blocks)) left=$((free * unit / 1000000))
}

# tell_server SENTENCE: let the server know, also after a restart of its own (report.sh).
tell_server() {
    echo "$1" >"$store/login/warning"
    [ ! -e "$store/report" ] || "$busybox" sh "$store/report" again
}

# warn: tell everybody what is about to happen.
warn() {
    local said="The memory of this computer for files outside of the homes is $used % full, $left MB are left."
    echo "<4>$said"
    tell_server "the RAM for changes in its root is $used % full, $left MB are left."
    case "$1" in
        95) said="$said Programs will soon fail. Save your work in your home, and restart the computer." ;;
        *) said="$said Remove what was saved there, such as in /tmp. A restart removes it, too." ;;
    esac
    show_message "$said" "This computer"
}

level=0
while :; do
    measure
    if [ "$used" -ge 95 ]; then now=95; elif [ "$used" -ge 80 ]; then now=80; else now=0; fi
    # It is over when some room was made.
    if [ "$now" -gt "$level" ]; then
        warn "$now"
        level=$now
    elif [ "$level" != 0 ] && [ "$used" -lt 75 ]; then
        echo "<5>The memory for files outside of the homes has $left MB left again."
        tell_server ''
        level=0
    fi
    sleep 20
done

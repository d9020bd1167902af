# shellcheck shell=dash disable=SC2154
# What waits for everything else asks here. The script that takes this has set `busybox`.

# rest: wait until the machine had nothing to do for most of three seconds, but for two minutes at most. A greeter that has
# its session is not on the screen yet.
rest() {
    local tries=0 before now
    while [ "$tries" -lt 40 ]; do
        read -r _ before </proc/uptime
        "$busybox" sleep 3
        # The kernel counts what all processors had.
        read -r _ now </proc/uptime
        [ $((${now%.*} - ${before%.*})) -lt 2 ] || return 0
        tries=$((tries + 1))
    done
}

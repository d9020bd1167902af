# shellcheck shell=dash disable=SC2154
# Tell people when the server of their homes does not answer, and when it does again: what ltsp-homes-told.service runs
# in the booted system. Programs that read or write wait meanwhile, and would look like they hang. features/55-homes.sh
# puts `busybox` and `server` before this.

# say_all WORDS: to all people who are logged in, and to the journal.
say_all() {
    echo "<4>$*" >&2
    /run/ltsp/login/home everybody "$*"
}

# A reader of the kernel's log gets all of it; what was said before this does not count.
read -r began _ </proc/uptime
began=${began%.*} away=''
"$busybox" cat /dev/kmsg | while IFS=',;' read -r _ _ time _ line; do
    case "$time" in '' | *[!0-9]*) continue ;; esac
    [ "$((time / 1000000))" -ge "$began" ] || continue
    case "$away:$line" in
        :*"nfs: server $server not responding"*)
            away=1
            say_all "The server does not answer. Programs that use your files wait until it is back; nothing is lost."
            ;;
        1:*"nfs: server $server OK"*)
            away=''
            say_all "The server is back. Your files can be used again."
            ;;
    esac
done

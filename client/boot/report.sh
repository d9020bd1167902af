# shellcheck shell=dash disable=SC2154,SC2034
# The client's reports to the server: how far its boot has come, or why it can't go on. The boot and the running
# system (features/99-report.sh) use this. No boot waits for a report or fails because of one. The other side is
# ltspd/gateway/reports.py; docs/clients.md describes the reports.

# mark NAME: note the time of this stage, in seconds since the kernel started.
mark() {
    read -r uptime _ </proc/uptime
    marks="$marks$1=$uptime "
}

# send LINES: send what this client says, and how its boot is called, within 5 s.
send() {
    local url boot=''
    case "$base" in
        http://*) url=$base ;;
        *) url=http://$server/ltsp ;;
    esac
    read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
    "${busybox:-/bin/busybox}" timeout 5 "${busybox:-/bin/busybox}" wget -q -O /dev/null --post-data "$1
boot=$boot" "$url/report" >/dev/null 2>&1
}

# describe STAGE [SENTENCE]: put what this client is, and why it can't boot, into $said.
describe() {
    said="mac=$mac
stage=$1
clock=$uptime
marks=$marks
hostname=$hostname
image=$image
generation=$generation
transport=$transport
key=$own_key
kept=$own_kept
pending=$pending
card=$nic_alias
error=${2:+$(printf %.300s "$2")}"
}

# report STAGE [SENTENCE]: report the stage in the background, by one request of 400 bytes with a limit of 5 s. It is in
# said afterwards.
report() {
    # In a trial nobody listens.
    [ -n "$address" ] && [ -n "$mac" ] && [ "$trial" != 1 ] || return 0
    case "$1" in
        failed | off) read -r uptime _ </proc/uptime ;;
        *) mark "$1" ;;
    esac
    describe "$1" "$2"
    send "$said" &
}

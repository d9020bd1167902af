# shellcheck shell=dash disable=SC2154
# Report how a trial's boot ended, and what it has read. Runs in the booted system (features/70-trial.sh), after
# login.sh.

# tell WORDS: print them on the console, through the kernel's log, which keeps lines of several writers apart.
tell() { echo "<1>ltsp: trial: $*" >/dev/kmsg; }

# tell_reads: send the names of the image's files of which a part is in memory to the server, which packs them together
# in its next base. What a layer has at a path is in the root at the same one.
tell_reads() {
    [ -x "$store/nbd-client" ] || return 0
    "$store/nbd-client" --resident "$store"/layers/* |
        "$store/busybox" timeout 30 "$store/busybox" nc "$server" 10820 >/dev/null 2>&1
}

# systemd starts a getty on the trial's console; clients have that one only if they choose the same console.
own=serial-getty@ttyS0.service
read -r line </proc/cmdline
case "$line" in *console=ttyS0*console=ttyS0*) own='' ;; esac
[ ! -e "/etc/systemd/system/getty.target.wants/$own" ] || own=''
judge_login "$own"
if [ -n "$why" ]; then tell "no login: $why"; else tell "login"; fi
for each in $failed_features; do tell "failed client/features/$each.sh"; done
state=$(systemctl is-system-running --wait)
systemctl list-units --state=failed --plain --no-legend --no-pager | while read -r unit _; do tell "failed $unit"; done
tell_reads
tell "ended $state"

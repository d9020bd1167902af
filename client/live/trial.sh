# shellcheck shell=dash disable=SC2154
# Report how a trial's boot ended. Runs in the booted system (features/70-trial.sh), after login.sh.

# tell WORDS: print them on the console, through the kernel's log, which keeps lines of several writers apart.
tell() { echo "<1>ltsp: trial: $*" >/dev/kmsg; }

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
tell "ended $state"

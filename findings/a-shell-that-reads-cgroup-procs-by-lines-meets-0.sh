#!/bin/sh
# Linux 6.18: who reads cgroup.procs line by line, and ends processes on the way, reads 0 for one of them.
#
# cgroups(7) knows 0 for processes of another PID namespace only. But a shell's `read` asks for one byte after the other,
# and the kernel then makes few lines at a time: it has chosen a process when it hands out the line before, and writes its
# number when the shell asks for more. If that process has been ended and waited for meanwhile, the line is 0. So a loop
# `while read -r pid; do kill "$pid"; done <cgroup.procs` now and then sends its signal to the whole process group of
# the loop itself, as that is what 0 means to kill(2).
#
# Seen on Linux 6.18 with dash 0.5.12, control groups version 2, 2026-11-30:
#   the first line is a process
#   the other three are ended; the lines that follow: a process, 0
set -eu

groups=/sys/fs/cgroup
[ ! -d $groups/unified ] || groups=$groups/unified
group=$groups/finding-$$
work=$(mktemp -d)
mkdir "$group"
all=''
# shellcheck disable=SC2086  # a list of words
trap 'kill $all 2>/dev/null || :; wait || :; rm -rf "$work"; sleep 0.2; rmdir "$group"' EXIT

for each in 1 2 3 4; do
    sleep "60.$each" &
    all="$all $!"
    echo $! >"$group/cgroup.procs"
done
tell() { case " $all " in *" $1 "*) echo "a process" ;; *) echo "${1:-the end}" ;; esac; }
exec 3<"$group/cgroup.procs"
read -r first <&3
for each in $all; do
    if [ "$each" != "$first" ]; then
        kill "$each"
        wait "$each" || :
    fi
done 2>/dev/null
read -r second <&3 || second=''
read -r third <&3 || third=''
echo "Linux $(uname -r)"
{
    echo "the first line is $(tell "$first")"
    echo "the other three are ended; the lines that follow: $(tell "$second"), $(tell "$third")"
} | tee "$work/seen"
cat >"$work/expected" <<'END'
the first line is a process
the other three are ended; the lines that follow: a process, 0
END
diff -u "$work/expected" "$work/seen" && echo "as stated above"

# shellcheck shell=dash disable=SC2154,SC2034,SC1090,SC1091
# Run the features, which make one client of many out of the image, and what they call. The contract is in
# client/features/README.md. Uses text.sh, settings.sh and report.sh.
#
# parameter: OMIT_FUNCTIONS text "" Parts of a client's set-up to leave out: names of features, or of LTSP's functions
# parameter: DEBUG_LOG bool "0" Write each command of a client's set-up, and of code in ltsp.conf, to /run/ltsp/debug.log; the console says when each part begins

# make_places: make the directories that several features write to; one process makes all.
make_places() {
    mkdir -p "$store/login/users" "$store/login/homes" "$run/systemd/system/multi-user.target.d" "$run/systemd/system.control" "$run/systemd/network" \
        "$run/systemd/resolved.conf.d" "$run/systemd/timesyncd.conf.d" "$run/systemd/system-generators" \
        "$run/systemd/system.conf.d" "$run/systemd/journald.conf.d" "$run/systemd/logind.conf.d" "$run/sysctl.d" \
        "$run/systemd/system/user-runtime-dir@.service.d" "$run/udev/rules.d" "$run/systemd/sleep.conf.d" \
        "$run/systemd/system/ssh.service.d" "$run/systemd/system/system-getty.slice.d" \
        "$run/systemd/system/system-serial\x2dgetty.slice.d" "$run/systemd/system/systemd-user-sessions.service.d" \
        "$run/systemd/system/systemd-udev-trigger.service.d"
}

# bring_scripts: bring to $store what the booted system runs: our scripts, and this initrd's busybox, because images differ
# in what they have. It takes 2 MB of RAM there: if the distribution's own initrd has made /run, no program may run from it.
bring_scripts() {
    cp -r "$ltsp/client/boot" "$ltsp/client/live" "$busybox" "$store"
}

# run_features: run each feature, in the order of their names. One that fails is told, and the next ones still run.
run_features() {
    local feature level line name own why
    # What failed before (boot/code.sh) is told with what fails here.
    failed_features=$failed_code
    found_manager='' found_manager_conf=''
    # Its first line tells all of the RAM.
    read -r _ memory _ </proc/meminfo
    make_places
    bring_scripts
    set -- "$ltsp"/client/features/*.sh
    while [ $# -gt 0 ]; do
        # One process runs them all, because each process costs time. If it ends at a feature, whatever the reason,
        # another one goes on with the next feature; the first process of the machine never ends by that.
        (
            # Only ltsp.conf makes settings, and programs find them in their environment. The distribution's init
            # inherits what the kernel has given the first process, and no settings. A distribution's initrd has a language.
            # shellcheck disable=SC2086
            unset $passed LANG LANGUAGE
            set -a
            settings init
            set +a
            [ "$DEBUG_LOG" != 1 ] || set -x
            set -e
            # What the first lines of features say: the server has read them (ltspd/config/features.py).
            . "$ltsp/client/known"
            for feature in "$@"; do
                echo "$feature" >"$run/ltsp-feature"
                # So the times of two lines tell what takes long.
                [ "$DEBUG_LOG" != 1 ] || say "${feature##*/} begins"
                own=${feature##*/} own=${own%.sh} level=1
                case "$newer" in *" $own:"*)
                    level="${newer#*" $own:"}"
                    level="${level%% *}"
                    ;;
                esac
                if [ -n "$OMIT_FUNCTIONS" ] && is_omitted "$feature"; then
                    say "${feature##*/} is left out, as OMIT_FUNCTIONS says"
                elif [ "$level" -le "$LTSP_API" ]; then
                    . "$feature"
                else
                    say "${feature##*/} is left out: it needs a newer boot initrd; 'ltspctl image build' makes one"
                fi
            done
            echo all >"$run/ltsp-feature"
        ) 2>"$run/ltsp-features"
        take_trace "$run/ltsp-features"
        why=''
        while read -r line; do
            say "$line"
            why=$line
        done <"$run/ltsp-features"
        read -r feature <"$run/ltsp-feature" || feature=$1
        [ "$feature" != all ] || return 0
        while [ $# -gt 1 ] && [ "$1" != "$feature" ]; do shift; done
        name=${1##*/} name=${name%.sh}
        shift
        failed_features="${failed_features:+$failed_features }$name"
        say "the feature $name failed; the boot goes on"
        # Only signs that are surely fit for a report.
        case "$why" in *[!\ -~]*) why='' ;; esac
        report failed "part of its setup, $name, failed${why:+: $why}; the boot goes on."
    done
}

# is_omitted FEATURE: whether OMIT_FUNCTIONS names it: by its own name (swap), with _main, or by those of LTSP's functions
# that its first lines name ("# ltsp:").
is_omitted() {
    local mark kind each names name=${1##*/[0-9][0-9]-}
    name=${name%.sh} names="$name ${name}_main"
    while read -r mark kind each; do
        case "$mark $kind" in '# ltsp:') names="$names $each" ;; '#'*) ;; *) break ;; esac
    done <"$1"
    split "$OMIT_FUNCTIONS"
    for each in $words; do
        case " $names " in *" $each "*) return ;; esac
    done
    return 1
}

# take_trace FILE: with DEBUG_LOG, move what the shell has said of its commands, which begins with a plus sign, from a file
# into the log. One process does that, because the shell reads byte by byte.
take_trace() {
    [ "$DEBUG_LOG" = 1 ] || return 0
    if [ ! -e "$store/debug.log" ]; then
        (umask 077 && : >"$store/debug.log")
        [ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
    fi
    awk -v log_file="$store/debug.log" '/^[+]/ { print >>log_file; next } { print }' "$1" >"$1.rest"
    mv "$1.rest" "$1"
}

# write FILE TEXT: write a file anew, with its directory. A link of the image goes. A file keeps its owner and mode, because
# to remove it would cost a process; where it can't be written to so, it goes as well.
write() {
    if [ -L "$1" ]; then rm -f "$1"; fi
    [ -d "${1%/*}" ] || mkdir -p "${1%/*}"
    if ! { echo "$2" >"$1"; } 2>/dev/null; then
        rm -f "$1"
        echo "$2" >"$1"
    fi
}

# family NAME [names]: print the values of all settings NAME_x, in the order of their names; with "names" each after its
# name. awk finds them in its environment.
family() {
    case " ${ltsp_dumped:-$ltsp_known}" in *" $1_"*) ;; *) return 0 ;; esac
    awk -v start="$1_" -v names_too="${2-}" 'BEGIN {
        for (name in ENVIRON) if (index(name, start) == 1) names[++count] = name
        for (i = 2; i <= count; i++)
            for (j = i; j > 1 && names[j] < names[j - 1]; j--) {
                swap = names[j]; names[j] = names[j - 1]; names[j - 1] = swap
            }
        for (i = 1; i <= count; i++) text = text (names_too ? names[i] " " : "") ENVIRON[names[i]] "\n"
        printf "%s", text
    }'
}

# take_family NAME [names]: set members to them. Where there are none, that needs no process.
take_family() {
    members=''
    case " ${ltsp_dumped:-$ltsp_known}" in *" $1_"*) members=$(family "$@") ;; esac
}

# keep NAME VALUE: print an assignment for a script that the booted system runs as root. A value that would need quoting
# is left out.
keep() {
    case "$2" in
        *[!A-Za-z0-9.:/_=\ -]*) echo "$1=''" ;;
        *) echo "$1='$2'" ;;
    esac
}

# keep_report: what boot/report.sh needs in a script of the booted system.
keep_report() {
    keep base "$base"
    keep server "$server"
    keep mac "$mac"
    keep address "$address"
    keep hostname "$hostname"
    keep image "$image"
    keep generation "$generation"
    keep transport "$transport"
    keep nic_alias "$nic_alias"
    keep marks "$marks"
}

# processor_has FLAG: whether the processor has what the kernel calls so in /proc/cpuinfo.
processor_has() {
    grep -qsw "$1" /proc/cpuinfo
}

# graphics_cards: print the path below /sys of each graphics card on the PCI bus; no driver is needed for that.
graphics_cards() {
    local each
    for each in /sys/bus/pci/devices/*/boot_vga; do
        if [ ! -e "$each" ]; then continue; fi
        each=$(readlink -f "${each%/*}")
        echo "${each#/sys}"
    done
}

# take_time: set the clock to the server's time, and slow to the seconds that it was behind; fails if the server does not
# tell its time within 3 s.
take_time() {
    local url=$base there here
    case "$base" in http://*) ;; *) url=http://$server/ltsp ;; esac
    there=$(timeout 3 wget -q -O - "$url/time" 2>/dev/null) || return 1
    case "$there" in '' | *[!0-9]* | ????????????*) return 1 ;; esac
    here=$("$busybox" date +%s)
    slow=$((there - here))
    # Half a second is no reason for another process.
    case "$slow" in -1 | 0 | 1) slow=0 ;; *) "$busybox" date -s "@$there" >/dev/null ;; esac
}

# lacks SETTING [WORDS]: whether the image lacks something that the running feature wants for this setting ("# wants:" in
# its first lines); that is told, after WORDS.
lacks() {
    local wants line files packages what file each IFS='
'
    what=${feature##*/}
    wanted "${what%.sh}"
    set -f
    for line in $wants; do
        case "$line" in "$1 "* | "$1!"*) ;; *) continue ;; esac
        line="${line#* }" files="${line%% *}"
        line="${line#* }" packages="${line%% *}" what="${line#* }"
        set +f
        while [ -n "$files" ]; do
            file="${files%%|*}"
            files=${files#"$file"} files="${files#|}"
            # A file may be in one directory of several, and be a link, which is for the new root.
            for each in "$new"$file; do
                if [ -e "$each" ] || [ -L "$each" ]; then continue 3; fi
            done
        done
        each=$(name_package "$packages")
        case "$each" in -) say "${2-$1 is left out}: this image has no $what" ;;
            *) say "${2-$1 is left out}: this image has no $what; install $each there" ;; esac
        return 0
    done
    set +f
    return 1
}

# name_package NAMES: print that of the names of a package (DEBIAN|FEDORA|ARCH) which the image's distribution has.
name_package() {
    local rest="${1#*|}"
    if [ -e "$new/usr/bin/rpm" ]; then
        echo "${rest%%|*}"
    elif [ -e "$new/usr/bin/pacman" ]; then
        echo "${1##*|}"
    else
        echo "${1%%|*}"
    fi
}

# is_masked UNIT: whether MASK_SYSTEM_SERVICES has masked it.
is_masked() {
    [ -e "$run/systemd/system.control/$1" ]
}

# scripts NAME…: print what has a script of the booted system take these scripts of ours, such as live/report.
scripts() {
    local each
    for each in "$@"; do echo ". $store/$each.sh"; done
}

# want UNIT: have the booted system start a unit of ours.
want() {
    local wants="$run/systemd/system/multi-user.target.d/ltsp.conf"
    # No links, each of which would cost a process.
    [ -e "$wants" ] || write "$wants" '[Unit]'
    echo "Wants=$1" >>"$wants"
}

# want_later UNIT: the same for what would take a slow machine's processor from its greeter. It starts when people can log in,
# which ltsp-report.service notes (live/report.sh).
want_later() {
    local units="$run/systemd/system"
    if is_masked ltsp-report.service; then
        want "$1"
        return
    fi
    if [ ! -e "$units/ltsp-later.path" ]; then
        want ltsp-later.path
        echo "[Unit]
Description=Wait until people can log in
[Path]
PathExists=$store/login/report
Unit=ltsp-later.target" >"$units/ltsp-later.path"
        echo "[Unit]
Description=What waits until people can log in" >"$units/ltsp-later.target"
    fi
    echo "Wants=$1" >>"$units/ltsp-later.target"
}

# know_server PART LINES: have $store/PART tell ssh of the booted system how to reach `server`, its administrator's own sshd:
# ssh_config, to which LINES are added, and known_hosts.
know_server() {
    [ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
    mkdir -p "$store/$1"
    cp "$ltsp/login/session_hosts" "$store/$1/known_hosts"
    write "$store/$1/ssh_config" "Host server
HostName $server
HostKeyAlias server
UserKnownHostsFile /run/ltsp/$1/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
ConnectTimeout 10
ServerAliveInterval 15
ServerAliveCountMax 4
SendEnv LANG LC_*
$2"
}

# find_manager: set manager to the image's display manager, which is what display-manager.service is (getty: there is
# none), and manager_conf to the file in which its settings count most.
find_manager() {
    manager=$found_manager manager_conf=$found_manager_conf
    [ -z "$manager" ] || return 0
    manager=getty
    for manager_conf in "$new/usr/lib/systemd/system" "$new/etc/systemd/system"; do
        if [ -L "$manager_conf/display-manager.service" ]; then manager=$manager_conf/display-manager.service; fi
    done
    [ "$manager" = getty ] || manager=$(readlink "$manager")
    manager=${manager##*/} manager=${manager%.service} manager_conf=''
    case "$manager" in
        lightdm) manager_conf=/etc/lightdm/lightdm.conf ;;
        gdm | gdm3)
            # Debian, Ubuntu and all others.
            for manager_conf in /etc/gdm3/daemon.conf /etc/gdm3/custom.conf /etc/gdm/custom.conf; do
                if [ -f "$new$manager_conf" ]; then break; fi
            done
            ;;
        sddm | plasmalogin) manager_conf=/etc/$manager.conf ;;
        greetd) manager_conf=/etc/greetd/config.toml ;;
    esac
    found_manager=$manager found_manager_conf=$manager_conf
}

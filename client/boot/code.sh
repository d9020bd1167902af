# shellcheck shell=dash disable=SC2154,SC2034,SC1090
# Code and hooks of ltsp.conf: when a client runs them, and what is told of those that fail. What runs them is
# live/code.sh, in a process of its own, so whatever they do, the boot goes on. A client whose ltsp.conf has neither
# starts no process for this. Uses text.sh, settings.sh, root.sh,
# features.sh and report.sh.
#
# parameter: PRE_* text "" Commands that run before a part of a client's life: PRE_INIT_x, PRE_SESSION_x and others
# parameter: POST_* text "" Commands that run after a part of a client's life: POST_INIT_x, POST_SESSION_x and others

# has_code: whether settings are to be worked out by code. In a trial, nothing that people want of a client may end it.
has_code() {
    [ -n "$ltsp_code" ] && [ "$trial" != 1 ]
}

# has_hooks APPLET [WHEN]: whether some section of ltsp.conf has hooks of it; with WHEN, those of PRE or of POST. Code may
# make some of any kind.
has_hooks() {
    [ "$trial" != 1 ] || return 1
    case "$ltsp_hooks" in *" $1 "*) ;; *) return 1 ;; esac
    [ -n "$2" ] && [ -z "$ltsp_code" ] || return 0
    case " $ltsp_known" in *" $2_$1_"*) ;; *) return 1 ;; esac
}

# make_code: put together what runs code.
make_code() {
    [ ! -e "$run/ltsp-code/run" ] || return 0
    mkdir -p "$run/ltsp-code"
    {
        keep ltsp_mac "$mac"
        keep ltsp_address "$address"
        keep ltsp_name "$given_name"
        keep ltsp_server "$server"
        keep DEVICE "$nic"
        keep GATEWAY "$gateway"
        cat "$ltsp/settings" "$ltsp/client/live/code.sh"
    } >"$run/ltsp-code/run"
}

# run_code PLACE APPLET WORK…: run code and hooks here or in the root, as live/code.sh has it, and tell what failed.
run_code() {
    local shell=sh trace='' said=$run/ltsp-code/said
    make_code
    # By its path, because busybox runs its own shell for the bare name, in another root too.
    [ "$1" = here ] || shell='in_root /bin/sh'
    [ "$DEBUG_LOG" != 1 ] || trace=-x
    shift
    (
        # The kernel's command line makes no settings.
        # shellcheck disable=SC2086
        unset $passed LANG LANGUAGE
        $shell $trace "$run/ltsp-code/run" "$@" >"$said" 2>&1 </dev/null
    ) || say "code of ltsp.conf could not be run ($*)"
    take_trace "$said"
    tell_code "$1" <"$said"
}

# in_root COMMAND…: run a command in the client's root, with the kernel's file systems there.
in_root() {
    local status=0
    directories
    mount_kernels bind || return 1
    chroot "$new" "$@" || status=$?
    umount -l "$new/run" "$new/sys" "$new/proc" "$new/dev" || status=1
    return "$status"
}

# tell_code APPLET: say the lines that code has written, each with the place of that code. The server is told what failed.
tell_code() {
    local line hook quiet place='' text=''
    while IFS= read -r line; do
        case "$line" in
            "@ltsp@ "*) place=${line#"@ltsp@ "} text='' ;;
            "!ltsp! "*)
                line=${line#"!ltsp! "} hook='' quiet=''
                case "$place" in *" "*) hook=1 ;; esac
                case "$text$line" in [0-9] | [0-9][0-9] | [0-9][0-9][0-9]) quiet=1 ;; esac
                # A test that is not true says nothing, and is no failure.
                [ -z "$quiet" ] || [ -n "$hook" ] || continue
                say "$place ended with status $line"
                # In the initrd, code misses programs that it has in the root.
                case "$quiet$1$hook" in initrd-bottom | 1*) continue ;; esac
                case " $failed_code " in *" ${place%% *} "*) continue ;; esac
                failed_code="${failed_code:+$failed_code }${place%% *}"
                # For the last feature, which reports all that has failed (99-report).
                failed_features="${failed_features:+$failed_features }${place%% *}"
                case "$text" in *[!\ -~]*) text='' ;; esac
                report failed "code of ltsp.conf failed: $place${text:+: $text}; the boot goes on."
                ;;
            *)
                say "${place:+$place: }$line"
                text=$line
                ;;
        esac
    done
}

# code_in_root: what happens between the mount of the root and the features.
code_in_root() {
    if has_hooks INITRD_BOTTOM POST; then run_code here initrd-bottom POST; fi
    if has_code || has_hooks INIT PRE; then
        run_code root init PRE values
        settings init
        take_settings_of_boot
    fi
}

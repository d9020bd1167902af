# needs: LTSP_API 1
# wants: login /etc/pam.d/common-auth|/etc/pam.d/system-auth libpam-runtime|authselect|pambase PAM stack for logins
# wants: login /usr/bin/ssh openssh-client|openssh-clients|openssh ssh
# wants: HOME_KIND=sshfs!NFS_HOME /usr/bin/sshfs sshfs|fuse-sshfs|sshfs sshfs
# parameter: HOME_KIND line "sshfs" Where people's homes are: sshfs, mounted (by FSTAB_x), local (a disk of the client), guest (RAM, new at each login)
# parameter: HOME_LABEL line "ltsp-home" Label of the file system that HOME_KIND=local keeps the homes on
# parameter: HOME_SIZE line "25%" Most RAM that one home takes with HOME_KIND=guest, such as 500M
# ltsp: pam_main
# shellcheck shell=dash disable=SC2154
# People of the server log in: the image's PAM stacks ask the server first, and whom it knows gets a home here. What the
# image has for its own accounts goes on working. docs/login.md describes all of it.

# edit_files NAME…: put our module into those of these files of /etc/pam.d that are there, and give people more than a
# minute for a login: whoever has to change an expired password and types slowly needs that. Another value of LOGIN_TIMEOUT
# in login.defs is the image's own choice.
# Where passwords are checked or changed, it comes before what decides, and the image's own modules follow for whom the
# server does not know ("ignore"). Success goes on behind the line that refuses everybody else, so that keyrings and the
# like still run. If nothing follows there, or there is no such line, success ends the file. In a session it comes last.
# A file that can't be loaded counts as "ignore" too: nobody of the image is locked out.
edit_files() {
    local each file from
    for each in "$@"; do
        shift
        file=$new/etc/pam.d/$each from=$new/etc/pam.d/$each
        # Some have links there, which are for the new root.
        if [ -L "$file" ]; then
            from=$(readlink "$file")
            case "$from" in /*) from=$new$from ;; *) from=${file%/*}/$from ;; esac
            [ ! -f "$from" ] || rm "$file"
        fi
        [ ! -f "$from" ] || set -- "$@" "out=$file" "$from"
    done
    file=$new/etc/login.defs
    if [ -f "$file" ] && [ ! -L "$file" ]; then set -- "$@" "defs=$file" out=defs "$file"; fi
    [ $# -gt 0 ] || return 0
    # All are read before one is written.
    awk -v module=/run/ltsp/login/pam_ltspd.so '
        # In files that are mostly comments, the first sign of a line is looked at before all else.
        out == "defs" {
            if (/^[ \t]*LOGIN_TIMEOUT/) chosen = $2 != 60
            next
        }
        FNR == 1 { file[++files] = out }
        {
            line[files, FNR] = $0
            lines[files] = FNR
            first_sign = substr($0, 1, 1)
            if (first_sign == "#" || first_sign == "") next
            type = $1
            sub(/^-/, "", type)
            if (type !~ /^(auth|password|session)$/) next
            kind[files, FNR] = type
            last[files, type] = FNR
            if ($0 ~ /pam_deny\.so/ || $0 ~ /pam_faillock\.so.*authfail/) deny[files, type] = FNR
            if (!((files, type) in first) && !(type == "auth" && $2 !~ /^\[/ && $0 !~ /authfail/ &&
                $3 ~ /pam_(env|faildelay|faillock|nologin|securetty|shells|warn)\.so$/)) first[files, type] = FNR
        }
        function ours(f, type,   n, jump) {
            if (type == "session") return "session optional " module
            jump = "done"
            if (((f, type) in deny) && deny[f, type] >= first[f, type] && deny[f, type] < last[f, type]) {
                jump = 0
                for (n = first[f, type]; n <= deny[f, type]; n++) if (kind[f, n] == type) jump++
            }
            return type " [success=" jump " new_authtok_reqd=" jump \
                " ignore=ignore module_unknown=ignore default=die] " module
        }
        END {
            for (f = 1; f <= files; f++) {
                # awk writes each line by itself.
                text = ""
                for (n = 1; n <= lines[f]; n++) {
                    type = kind[f, n]
                    if (type != "" && type != "session" && n == first[f, type]) text = text ours(f, type) "\n"
                    text = text line[f, n] "\n"
                    if (type == "session" && n == last[f, type]) text = text ours(f, type) "\n"
                }
                printf "%s", text >file[f]
            }
            # The last line counts.
            if (defs && !chosen) print "LOGIN_TIMEOUT 600" >>defs
        }
    ' "$@"
}

# name_machine FILE: set machine to the architecture of an ELF program as its header says it. A 64-bit kernel may run an
# image of 32 bits, so the kernel does not tell it.
name_machine() {
    # The shell leaves out zeros, and needs no process.
    # shellcheck disable=SC3045
    read -r -n 20 machine 2>/dev/null <"$1" || :
    case "$machine" in ?ELF*'>')
        machine=x86_64
        return
        ;;
    esac
    machine=$(dd if="$1" bs=1 skip=18 count=1 2>/dev/null) || :
    case "$machine" in
        '>') machine=x86_64 ;;
        "$(printf '\003')") machine=i686 ;;
        "$(printf '\267')") machine=aarch64 ;;
        *) machine='' ;;
    esac
}

# In a trial there is no other machine. Without the server's key nobody could trust what answers there.
if [ "$trial" = 1 ] || [ ! -s "$ltsp/login/known_hosts" ]; then return 0; fi
if lacks login "people of the server can't log in"; then return 0; fi
name_machine "$new/usr/lib/systemd/systemd"
if [ ! -e "$ltsp/client/pam/$machine.so" ]; then
    say "people of the server can't log in: there is no PAM module for programs of this image's kind (${machine:-unknown})"
    return 0
fi

login=$store/login
# $store is where programs may be run and libraries be loaded from; programs of the booted system know this name.
[ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
cp "$ltsp/client/pam/$machine.so" "$login/pam_ltspd.so"
cp "$ltsp/login/known_hosts" "$login/known_hosts"
[ -e "$login/accounts" ] || : >"$login/accounts"
read -r port 2>/dev/null <"$ltsp/login/port" || port=2222
# Passwords are changed at the next port, which our module finds by this one.
echo "$port" >"$login/port"
# With instructions for it in the processor, AES takes two thirds of the time that the usual cipher does, on both sides.
ciphers=''
if processor_has aes; then ciphers="
Ciphers ^aes128-gcm@openssh.com"; fi
# A cut of less than five minutes is waited out. What a keepalive costs is one small packet in 30 s.
write "$login/ssh_config" "Host ltsp-login
HostName $server
Port $port
HostKeyAlias ltsp-login
UserKnownHostsFile /run/ltsp/login/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
PreferredAuthentications keyboard-interactive
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication no
NumberOfPasswordPrompts 1
ConnectTimeout 10
ServerAliveInterval 30
ServerAliveCountMax 10
ForwardAgent no
ForwardX11 no
PermitLocalCommand no
EscapeChar none$ciphers"

edit_files common-auth common-password common-session common-session-noninteractive system-auth password-auth

# What the module does for the keyring when a login has changed the password.
write "$new/etc/pam.d/ltspd-keyring" "password required /run/ltsp/login/pam_ltspd.so keyring
-password optional pam_gnome_keyring.so use_authtok"

kind=${HOME_KIND:-sshfs}
# With NFS, all homes are mounted at once (55-homes).
if [ -s "$ltsp/homes" ] && [ "$NFS_HOME" != 0 ] && [ "$kind" = sshfs ]; then kind=mounted; fi
case "$kind" in
    sshfs | mounted | local | guest) ;;
    *)
        say "HOME_KIND=$kind is none of sshfs, mounted, local and guest; homes come by SSHFS"
        kind=sshfs
        ;;
esac
if [ "$kind" = sshfs ]; then lacks HOME_KIND=sshfs "people of the server have no homes here" || :; fi
[ "$kind" != local ] || write "$run/systemd/system/home.mount" "[Unit]
Description=Homes on a disk of this client
JobTimeoutSec=30
[Mount]
What=LABEL=${HOME_LABEL:-ltsp-home}
Where=/home
Options=nosuid,nodev"
size=$HOME_SIZE
case "$size" in '' | *[!0-9%kmgKMG]*) size=25% ;; esac
# Newer versions of sshfs refuse links out of the home unless they are told not to.
links=''
if grep -qsF no_contain_symlinks "$new/usr/bin/sshfs"; then links=,no_contain_symlinks; fi
# A copy of a script for its mode: all of ltsp.img have it, and not every boot initrd has chmod.
cp "$ltsp/client/live/ask.sh" "$login/home"
{
    echo "#!$store/busybox sh"
    keep kind "$kind"
    echo "size=$size busybox=$store/busybox links=$links"
    scripts live/ask live/home
} >"$login/home"
# What waits for the end of the last session is no main process of a home in RAM.
process=GuessMainPID=no
[ "$kind" != sshfs ] || process=PIDFile=/run/ltsp/login/homes/%i.pid
# It runs apart from what a person was asked by, because that ends with the session (getty, greeter); and it stops after
# everything else of that person has, also when the machine is shut down.
write "$run/systemd/system/ltsp-home@.service" "[Unit]
Description=Home of user %i
PartOf=user-runtime-dir@%i.service
Before=user-runtime-dir@%i.service
ConditionPathExists=/run/ltsp/login/homes/%i
[Service]
Type=forking
$process
RemainAfterExit=yes
ExecStart=/run/ltsp/login/home serve %i
ExecStop=/run/ltsp/login/home leave %i
KillMode=process
Restart=on-failure
RestartSec=1
TimeoutStartSec=60
TimeoutStopSec=60"
# What AUTOLOGIN has opened (75-autologin) is opened again for each session.
write "$run/systemd/system/user-runtime-dir@.service.d/ltsp.conf" "[Unit]
Wants=ltsp-home@%i.service"
# What a person leaves running would write to a home that is gone, so it ends with the session.
# A guest home is a new one also for who logs in at once.
delay=''
[ "$kind" != guest ] || delay="
UserStopDelaySec=0"
write "$run/systemd/logind.conf.d/ltsp.conf" "[Login]
KillUserProcesses=yes$delay"

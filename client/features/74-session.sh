# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# What SESSION shows on the screen in place of the image's login (docs/sessions.md). It runs as an account that has
# nothing, and starts again whenever it ends.

# In a trial the server looks whether people can log in, and there is no other machine.
if [ -z "$SESSION" ] || [ "$trial" = 1 ]; then return 0; fi
missing=''
if [ "$SESSION" != terminal ]; then
    missing="it is not terminal"
elif [ ! -x "$new/usr/bin/ssh" ]; then
    missing="this image has no /usr/bin/ssh; install openssh-client there"
elif [ ! -s "$ltsp/login/session_hosts" ]; then
    missing="the server has no keys of an sshd; install openssh-server there"
fi
if [ -n "$missing" ]; then
    say "SESSION=$SESSION is left out: $missing"
    return 0
fi

# Neither Debian nor systemd gives this number to anybody.
account=ltsp-session uid=61100
echo "$account:*:$uid:$uid:Screen of this client:/nonexistent:/bin/sh" >>"$new/etc/passwd"
echo "$account:*:$uid:" >>"$new/etc/group"
# People get a shell on the server, and no way to do anything here: no escapes of ssh.
know_server session "PreferredAuthentications keyboard-interactive,password
NumberOfPasswordPrompts 1
ForwardAgent no
ForwardX11 no
PermitLocalCommand no
EscapeChar none"
{
    keep server "$server"
    echo "busybox=$store/busybox place=/run/ltsp/session"
    cat "$ltsp/client/live/session.sh" "$ltsp/client/live/session-$SESSION.sh"
    echo session
} >"$store/session/run"

# Neither the image's display manager nor a getty has this console.
mkdir -p "$run/systemd/system.control"
: >"$run/systemd/system.control/display-manager.service"
: >"$run/systemd/system.control/getty@tty1.service"
want ltsp-session.service
write "$run/systemd/system/ltsp-session.service" "[Unit]
Description=What this client shows in place of a login (SESSION=$SESSION)
After=systemd-user-sessions.service plymouth-quit-wait.service
StartLimitIntervalSec=0
[Service]
User=$account
TTYPath=/dev/tty1
StandardInput=tty
StandardOutput=tty
TTYReset=yes
TTYVHangup=yes
TTYVTDisallocate=yes
ExecStart=$store/busybox sh $store/session/run
Restart=always
RestartSec=2
CapabilityBoundingSet=
NoNewPrivileges=yes
PrivateTmp=yes"

# needs: LTSP_API 1
# wants: REMOTEAPPS /usr/bin/ssh openssh-client|openssh-clients|openssh ssh
# wants: REMOTEAPPS /usr/bin/xauth xauth|xorg-x11-xauth|xorg-xauth xauth
# parameter: REMOTEAPPS text "" Programs that run on the server and are shown on the client, such as users-admin
# ltsp: config_remoteapps
# shellcheck shell=dash disable=SC2154
# Programs that run on the server, by the person's own account there, and are shown here: ssh -X behind their names.

split "$REMOTEAPPS"
if [ -z "$words" ] || [ "$trial" = 1 ]; then return 0; fi
if [ ! -s "$ltsp/login/session_hosts" ]; then
    say "REMOTEAPPS is left out: the server has no keys of an sshd; install openssh-server there"
    return 0
fi
if lacks REMOTEAPPS; then return 0; fi
# Debian's way to trust the server with the screen (ssh -X); the key is the one that run makes.
know_server remoteapps "IdentitiesOnly yes
IdentityFile ~/.ssh/ltspd
PreferredAuthentications publickey,keyboard-interactive,password
ForwardX11 yes
ForwardX11Trusted yes"
cp "$ltsp/client/live/remoteapps.sh" "$store/remoteapps/run"
# It comes before /usr/bin where people's programs are looked for. A copy of a script for its mode: all of ltsp.img have
# it, and not every boot initrd has chmod.
mkdir -p "$new/usr/local/bin"
for each in $words; do
    case "$each" in
        .* | -* | *[!A-Za-z0-9._+-]*)
            say "$each of REMOTEAPPS is left out: it is no name of a program"
            continue
            ;;
    esac
    rm -f "$new/usr/local/bin/$each"
    cp "$ltsp/client/live/remoteapps.sh" "$new/usr/local/bin/$each"
    echo "#!/bin/sh
exec /bin/sh /run/ltsp/remoteapps/run $each \"\$@\"" >"$new/usr/local/bin/$each"
done

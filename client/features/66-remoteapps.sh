# needs: LTSP_API 1
# parameter: REMOTEAPPS text "" Programs that run on the server and are shown on the client, such as users-admin
# shellcheck shell=dash disable=SC2154
# Programs that run on the server, by the person's own account there, and are shown here: ssh -X behind their names.

split "$REMOTEAPPS"
if [ -z "$words" ] || [ "$trial" = 1 ]; then return 0; fi
if [ ! -s "$ltsp/login/session_hosts" ]; then
    say "REMOTEAPPS is left out: the server has no keys of an sshd; install openssh-server there"
    return 0
fi
if [ ! -x "$new/usr/bin/ssh" ] || [ ! -x "$new/usr/bin/xauth" ]; then
    say "REMOTEAPPS is left out: the image has not both, ssh (package openssh-client) and xauth"
    return 0
fi
[ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
mkdir -p "$store/remoteapps"
cp "$ltsp/login/session_hosts" "$store/remoteapps/known_hosts"
cp "$ltsp/client/live/remoteapps.sh" "$store/remoteapps/run"
# Debian's way to trust the server with the screen (ssh -X); the key is the one that run makes.
write "$store/remoteapps/ssh_config" "Host server
HostName $server
HostKeyAlias server
UserKnownHostsFile /run/ltsp/remoteapps/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
IdentitiesOnly yes
IdentityFile ~/.ssh/ltspd
PreferredAuthentications publickey,keyboard-interactive,password
ConnectTimeout 10
ServerAliveInterval 15
ServerAliveCountMax 4
SendEnv LANG LC_*
ForwardX11 yes
ForwardX11Trusted yes"
# It comes before /usr/bin where people's programs are looked for. A copy of a program for its mode: not every boot initrd
# has chmod.
mkdir -p "$new/usr/local/bin"
for each in $words; do
    case "$each" in
        .* | -* | *[!A-Za-z0-9._+-]*)
            say "$each of REMOTEAPPS is left out: it is no name of a program"
            continue
            ;;
    esac
    rm -f "$new/usr/local/bin/$each"
    cp "$busybox" "$new/usr/local/bin/$each"
    echo "#!/bin/sh
exec /bin/sh /run/ltsp/remoteapps/run $each \"\$@\"" >"$new/usr/local/bin/$each"
done

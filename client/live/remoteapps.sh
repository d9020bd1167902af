# shellcheck shell=dash
# PROGRAM WORDS: run a program on the server and show it here (REMOTEAPPS). features/66-remoteapps.sh keeps this.
#
# A key in the home opens the account on the server, where that is the home of both. It is good for nothing but windows,
# programs and their input; whoever can read it can read the home anyway.

place=${place:-/run/ltsp/remoteapps}
key=$HOME/.ssh/ltspd
if [ ! -e "$key" ] && umask 077 && mkdir -p "$HOME/.ssh"; then
    # The last line may have no end.
    unended=$(tail -c 1 "$HOME/.ssh/authorized_keys" 2>/dev/null)
    ssh-keygen -q -t ed25519 -N '' -C 'programs of the server, at clients' -f "$key" &&
        echo "${unended:+
}restrict,X11-forwarding $(cat "$key.pub")" >>"$HOME/.ssh/authorized_keys"
fi
# The server's shell reads the words again.
command=''
for each in "$@"; do
    command="$command '$(printf %s "$each" | sed "s/'/'\\\\''/g")'"
done
exec ssh -F "$place/ssh_config" -o LogLevel=ERROR server "$command"

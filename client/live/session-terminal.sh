# shellcheck shell=dash disable=SC2154
# SESSION=terminal: ask for a name, and then be a shell on the server, which asks for the password.

session() {
    wait_for "$server" 22
    ask_name "This console works on the server $server."
    /usr/bin/ssh -F "$place/ssh_config" -l "$name" server
    # That status is ssh's own, any other one the shell's.
    [ $? != 255 ] || pause
}

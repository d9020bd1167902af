# shellcheck shell=dash disable=SC2154,SC3045
# SESSION=terminal: ask for a name, and then be a shell on the server, which asks for the password.

session() {
    local name=''
    wait_for "$server" 22
    printf '\033c%s\n\n' "This console works on the server $server."
    while [ -z "$name" ]; do
        printf 'Name: '
        read -r name || exit 0
    done
    /usr/bin/ssh -F "$place/ssh_config" -l "$name" server
    # That status is ssh's own, any other one the shell's. What ssh has said stays until somebody has read it.
    if [ $? = 255 ]; then
        printf '\nPress Enter. '
        read -r -t 30 _ || :
    fi
}

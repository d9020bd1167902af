# shellcheck shell=dash disable=SC2154
# SESSION=x11: a session that runs on the server, by its own sshd, and is shown here.

# on_server OPTION… COMMAND: run a command there, by the connection that the password has opened.
on_server() {
    /usr/bin/ssh -F "$place/ssh_config" -S "$HOME/.connection" "$@"
}

# quote WORD: print it as one word for any shell.
quote() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# remote_command COMMAND: print what the server's shell gets. The scripts of Debian and Fedora set up what sessions have,
# and begin the person's own if no COMMAND is given.
remote_command() {
    # shellcheck disable=SC2016
    printf '%s ' exec /bin/sh -c "$(quote 'for each in /etc/X11/Xsession /etc/X11/xinit/Xsession; do if [ -x "$each" ]; '\
'then exec "$each" "$@"; fi; done; exec /bin/sh -c "${1:-exec xterm}"')" sh
    [ -z "$1" ] || quote "$1"
}

session() {
    local command='' cookie status
    wait_for "$server" 22
    ask_name "This screen shows a session of the server $server."
    # It asks for the password, and stays. Once the session begins, it looks for the cookie of this display.
    if ! DISPLAY=:0 XAUTHORITY="$HOME/.Xauthority" on_server -M -f -N -Y -l "$name" server 2>&1; then
        pause
        return
    fi
    [ ! -e "$place/command" ] || command=$(cat "$place/command")
    command=$(remote_command "$command")
    if [ -n "$unencrypted" ]; then start_x -listen tcp; else start_x; fi
    # xauth does not find the one that counts for each display.
    cookie=$(/usr/bin/xauth list | sed 's/.* //')
    echo "add $DISPLAY . $cookie" | /usr/bin/xauth -q
    if [ -n "$unencrypted" ]; then
        echo "add $address:0 . $cookie" | on_server -x server xauth -q -
        set -- -x server "exec env DISPLAY=$address:0 ${command#exec }"
    else
        set -- -Y server "$command"
    fi
    on_server "$@" >"$HOME/.said" 2>&1 </dev/null
    status=$?
    stop_x
    if [ "$status" != 0 ]; then
        printf '\033c%s\n\n' "The session has ended with an error. On the server, $name's .xsession-errors may say why."
        tail -n 12 "$HOME/.said" | tr -cd '\12\40-\176'
        pause
    fi
}

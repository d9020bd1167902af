# shellcheck shell=dash disable=SC2154
# What ltsp-ahead.service runs: read the files of the image that a login needs, and load what it has the kernel load.
# `ahead list` only prints their names, `ahead now` does not wait. features/90-ahead.sh puts `busybox` and rest.sh before
# this.

# list_programs: print the paths of what runs between the password and a shell.
list_programs() {
    local each
    for each in login ssh sshfs setpriv flock umount systemctl loginctl bash sh run-parts uname dircolors env \
        dbus-daemon dbus-broker dbus-broker-launch; do
        [ ! -f "/usr/bin/$each" ] || echo "/usr/bin/$each"
    done
    for each in /usr/lib/systemd/systemd /usr/lib/systemd/systemd-executor /usr/lib/systemd/systemd-user-runtime-dir \
        /usr/lib/systemd/user-generators/* /usr/lib/systemd/user-environment-generators/* /etc/update-motd.d/*; do
        [ ! -f "$each" ] || echo "$each"
    done
}

# list_modules: print the paths of the modules that PAM's stacks name.
list_modules() {
    local each dir
    sed -n 's/^[^#].*\(pam_[a-z0-9_]*\.so\).*/\1/p' /etc/pam.d/* | "$busybox" sort -u | while read -r each; do
        for dir in /usr/lib/*/security /usr/lib/security /usr/lib64/security; do
            [ ! -f "$dir/$each" ] || echo "$dir/$each"
        done
    done
}

# list_texts: print the paths of what they read.
list_texts() {
    local each
    for each in /usr/lib/systemd/user/* /etc/systemd/user/* /usr/lib/environment.d/* /etc/environment.d/* \
        /etc/security/* /etc/profile /etc/profile.d/* /etc/bash.bashrc /etc/ssh/ssh_config; do
        [ ! -f "$each" ] || echo "$each"
    done
}

# add_libraries: print the names on stdin, and the libraries that each of them needs. The loader does not run them.
add_libraries() {
    local each loader
    for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1 /lib/ld-linux.so.2; do
        [ ! -e "$loader" ] || break
    done
    while read -r each; do
        echo "=> $each ("
        "$loader" --list "$each" 2>/dev/null
    done | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p'
}

list() {
    {
        { list_programs && list_modules; } | add_libraries
        list_texts
    } | "$busybox" sort -u
}

if [ "${1-}" = list ]; then
    list
    exit
fi
[ "${1-}" = now ] || rest
files=$(list)
# One process reads them all. No name has a blank.
set -f
# shellcheck disable=SC2086
cat $files >/dev/null
# Opening it loads the kernel's module, which homes by SSHFS need.
[ ! -e /dev/fuse ] || : <>/dev/fuse

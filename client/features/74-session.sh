# needs: LTSP_API 1
# wants: SESSION=kiosk /usr/lib/xorg/Xorg|/usr/lib/Xorg|/usr/libexec/Xorg xserver-xorg|xorg-x11-server-Xorg|xorg-server X server
# wants: KIOSK_URL /usr/bin/chromium|/usr/bin/firefox-esr|/usr/bin/firefox chromium|firefox|firefox browser that is no snap
# wants: SESSION=rdp /usr/lib/xorg/Xorg|/usr/lib/Xorg|/usr/libexec/Xorg xserver-xorg|xorg-x11-server-Xorg|xorg-server X server
# wants: SESSION=rdp /usr/bin/xfreerdp3|/usr/bin/xfreerdp freerdp3-x11/freerdp2-x11|freerdp|freerdp FreeRDP
# wants: SESSION=x11 /usr/lib/xorg/Xorg|/usr/lib/Xorg|/usr/libexec/Xorg xserver-xorg|xorg-x11-server-Xorg|xorg-server X server
# wants: SESSION=x11 /usr/bin/ssh openssh-client|openssh-clients|openssh ssh
# wants: SESSION=x11 /usr/bin/xauth xauth|xorg-x11-xauth|xorg-xauth xauth
# wants: SESSION=terminal /usr/bin/ssh openssh-client|openssh-clients|openssh ssh
# What SESSION shows on the screen in place of the image's login (docs/sessions.md). It runs as an account that has
# nothing, and starts again whenever it ends.
# parameter: KIOSK_COMMAND line "" Program that SESSION=kiosk shows, as a line for the shell
# parameter: KIOSK_URL line "" Page that SESSION=kiosk shows
# parameter: RDP_DOMAIN line "" Domain of the accounts that SESSION=rdp asks for
# parameter: RDP_OPTIONS line "" More options of FreeRDP for SESSION=rdp, such as /network:lan
# parameter: RDP_SERVER line "" Windows or xrdp host whose desktop SESSION=rdp shows, as HOST or HOST:PORT
# parameter: X11_COMMAND line "" Command on the server that SESSION=x11 shows, such as mate-session; empty: what each person has there
# parameter: X11_UNENCRYPTED bool "0" SESSION=x11: all that is shown and typed in a session goes over the network for everybody to read
# shellcheck shell=dash disable=SC2154

# lack SENTENCE: note why the session can't be had. The image's own login is shown then.
lack() {
    missing=${missing:-$1}
}

# find_one WORDS PATH…: set found to the first path of the image that is there. A script that only starts a snap does not
# count: no snap starts with what this session may do.
find_one() {
    local words=$1 each
    shift
    for each in "$@"; do
        found=${each#"$new"}
        if [ -x "$each" ] && ! head -c 4096 "$each" | grep -q '^[^#]*/snap/bin/'; then return 0; fi
    done
    lack "this image has no $words there"
}

# find_x: set x to the image's server of X.
find_x() {
    find_one "X server; install xserver-xorg" "$new/usr/lib/xorg/Xorg" "$new/usr/lib/Xorg" "$new/usr/libexec/Xorg"
    x=$found
}

# find_ssh: the image and the server have what ssh needs.
find_ssh() {
    find_one "/usr/bin/ssh; install openssh-client" "$new/usr/bin/ssh"
    [ -s "$ltsp/login/session_hosts" ] || lack "the server has no keys of an sshd; install openssh-server there"
}

# In a trial the server looks whether people can log in, and there is no other machine.
if [ -z "$SESSION" ] || [ "$trial" = 1 ]; then return 0; fi
missing='' x='' browser='' rdp='' fingerprint='' more=''
case "$SESSION" in
    kiosk)
        find_x
        if [ -z "$KIOSK_COMMAND" ]; then
            [ -n "$KIOSK_URL" ] || lack "neither KIOSK_URL nor KIOSK_COMMAND says what to show"
            find_one "browser that is no snap; install chromium or firefox-esr" "$new/usr/bin/chromium" "$new/usr/bin/firefox-esr" \
                "$new/usr/bin/firefox"
            browser=$found
        fi
        ;;
    rdp)
        find_x
        [ -n "$RDP_SERVER" ] || lack "RDP_SERVER does not say which host to show"
        fingerprint=$(printf '%s' "$RDP_FINGERPRINT" | tr -d : | tr A-F a-f | sed 's/../&:/g; s/:$//')
        case "$RDP_FINGERPRINT" in *[!0-9A-Fa-f:]*) fingerprint=- ;; esac
        case "${#fingerprint}" in 0 | 95) ;; *) lack "RDP_FINGERPRINT is not a SHA-256 fingerprint" ;; esac
        find_one "FreeRDP; install freerdp3-x11 or freerdp2-x11" "$new/usr/bin/xfreerdp3" "$new/usr/bin/xfreerdp"
        rdp=$found
        ;;
    x11)
        find_x
        find_one "/usr/bin/xauth; install xauth" "$new/usr/bin/xauth"
        find_ssh
        ;;
    terminal) find_ssh ;;
    *) lack "it is none of kiosk, rdp, x11 and terminal" ;;
esac
if [ -n "$missing" ]; then
    say "SESSION=$SESSION is left out: $missing"
    return 0
fi

# Neither Debian nor systemd gives this number to anybody.
account=ltsp-session uid=61100 home=/run/kiosk
echo "$account:*:$uid:$uid:Screen of this client:$home:/bin/sh" >>"$new/etc/passwd"
echo "$account:*:$uid:" >>"$new/etc/group"
[ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
# Files, because any sign may be in them.
case "$SESSION" in
    kiosk)
        write "$store/session/url" "$KIOSK_URL"
        [ -z "$KIOSK_COMMAND" ] || write "$store/session/command" "$KIOSK_COMMAND"
        ;;
    rdp)
        write "$store/session/host" "$RDP_SERVER"
        write "$store/session/domain" "$RDP_DOMAIN"
        write "$store/session/options" "$RDP_OPTIONS"
        # Sticks are mounted by themselves, and FreeRDP gives the host what is mounted there. Nothing on them is run here.
        # The host gets eight letters of a name, and drives of one name are one drive.
        write "$run/udev/rules.d/90-ltsp-session.rules" "ACTION==\"add\", SUBSYSTEM==\"block\", ENV{ID_BUS}==\"usb\", \
ENV{ID_FS_TYPE}==\"vfat|exfat|ntfs\", RUN+=\"/usr/bin/systemd-mount --no-block --collect --owner=$account \
-o nosuid,nodev,noexec,sync \$devnode /media/usb-%k\""
        ;;
    x11) [ -z "$X11_COMMAND" ] || write "$store/session/command" "$X11_COMMAND" ;;
esac
case "$SESSION" in
    # People get what is on the server, and no way to do anything here: no escapes of ssh.
    x11 | terminal)
        know_server session "PreferredAuthentications keyboard-interactive,password
NumberOfPasswordPrompts 1
ForwardAgent no
ForwardX11 no
PermitLocalCommand no
EscapeChar none"
        ;;
esac
if [ -n "$x" ]; then
    # The home is in RAM and new at each start, and so is the person's own manager, which starts sound and others.
    write "$run/systemd/system/run-kiosk.mount" "[Unit]
Description=Home of what this client shows
[Mount]
What=tmpfs
Where=$home
Type=tmpfs
Options=size=25%,mode=700,uid=$uid,gid=$uid,nosuid,nodev
LazyUnmount=yes"
    # X may use the screen and the keyboard if logind knows its session.
    write "$new/etc/pam.d/ltsp-session" "account required pam_permit.so
session required pam_systemd.so"
    more="
PAMName=ltsp-session
Environment=XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=user
StandardError=journal
SyslogIdentifier=ltsp-session
ExecStartPre=+/usr/bin/systemctl restart run-kiosk.mount
ExecStopPost=-+/usr/bin/systemctl stop user-$uid.slice
TimeoutStopSec=10"
fi
unencrypted=''
[ "$X11_UNENCRYPTED" != 1 ] || unencrypted=1
{
    keep server "$server"
    keep address "$address"
    echo "busybox=$store/busybox place=/run/ltsp/session x=$x"
    echo "browser=$browser unencrypted=$unencrypted rdp=$rdp fingerprint=$fingerprint"
    scripts live/session ${x:+live/session-screen} "live/session-$SESSION"
    echo session
} >"$store/session/run"

# Neither the image's display manager nor a getty has this console.
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
PrivateTmp=yes$more"

# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# X11's cookies, where homes come by SSHFS. Its programs lock the files with them by hard links, and those homes have
# none (live/home.sh).

[ -d "$new/etc/X11" ] || return 0
# Session managers: their file is of no use after the session, so it goes where that ends, too.
write "$new/etc/X11/Xsession.d/19ltsp" "[ -z \"\$XDG_RUNTIME_DIR\" ] || export ICEAUTHORITY=\"\$XDG_RUNTIME_DIR/ICEauthority\""
write "$new/etc/environment.d/ltsp.conf" "ICEAUTHORITY=\${XDG_RUNTIME_DIR}/ICEauthority"
# sddm before 0.20 has xauth write to the home. One greeter writes at a time, so no lock is needed.
find_manager
if [ "$manager" = sddm ]; then
    [ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
    # A copy of a script for its mode: all of ltsp.img have it, and not every boot initrd has chmod.
    cp "$ltsp/client/boot/report.sh" "$store/login/xauth"
    echo "#!$store/busybox sh
exec /usr/bin/xauth -i \"\$@\"" >"$store/login/xauth"
    write "$new/etc/sddm.conf.d/ltsp-x11.conf" "[X11]
XauthPath=/run/ltsp/login/xauth"
fi

# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# Hooks of ltsp.conf (PRE_x and POST_x) at the end of the set-up and in the booted system. Those before it, and what they
# are, stand in boot/code.sh.

if has_hooks INIT POST; then run_code root init POST; fi
if has_hooks SERVICE; then
    want ltsp-hooks.service
    write "$run/systemd/system/ltsp-hooks.service" "[Unit]
Description=Hooks PRE_SERVICE and POST_SERVICE of ltsp.conf
Wants=network-online.target
After=network-online.target remote-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /run/ltsp-code/run service PRE POST"
fi
if has_hooks LOGIN || has_hooks SESSION; then
    # A person's own systemd starts before the first session, when the home is there, and ends after the last one.
    write "$run/systemd/system/user@.service.d/ltsp-hooks.conf" "[Service]
ExecStartPre=-+/bin/sh /run/ltsp-code/run login PRE %i
ExecStartPre=-/bin/sh /run/ltsp-code/run session PRE
ExecStopPost=-/bin/sh /run/ltsp-code/run session POST
ExecStopPost=-+/bin/sh /run/ltsp-code/run login POST %i"
fi
if has_hooks SERVICE || has_hooks LOGIN || has_hooks SESSION; then make_code; fi

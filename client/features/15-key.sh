# needs: LTSP_API 1
# wants: AUTOLOGIN /usr/bin/ssh-keygen openssh-client|openssh-clients|openssh ssh-keygen
# shellcheck shell=dash disable=SC2154
# A key of this client's own, by which the server knows it again (docs/security.md). The booted system makes it, or
# takes it from the partition with the label ltsp-keys or from the TPM, because only that has drivers for them.

# A trial is no client, and nobody listens to it.
[ "$trial" != 1 ] || return 0
if [ ! -x "$new/usr/bin/ssh-keygen" ]; then
    say "this client has no key of its own: the image has no /usr/bin/ssh-keygen (package openssh-client)"
    return 0
fi
want ltsp-key.service
# Programs of the booted system know this name.
[ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
{
    keep_report
    echo "busybox=$store/busybox login=$store/login"
    scripts boot/report live/key
} >"$store/key"
# Autologin needs the key, so then it comes before the greeter. Nobody else waits for it.
kind='exec' weight='StartupCPUWeight=10
'
[ -z "$AUTOLOGIN" ] || kind=oneshot weight=''
write "$run/systemd/system/ltsp-key.service" "[Unit]
Description=The key by which the network boot server knows this client
DefaultDependencies=no
After=basic.target
Before=display-manager.service
Conflicts=shutdown.target
Before=shutdown.target
[Service]
${weight}Type=$kind
RemainAfterExit=yes
ExecStart=-$store/busybox sh $store/key
PrivateMounts=yes
TimeoutStartSec=120"

# shellcheck shell=dash disable=SC2154,SC2034
# Make this client's key, or take the one that it keeps, and tell the server its public half. ltsp-key.service runs this
# in the booted system; features/15-key.sh puts the client's variables and boot/report.sh before it.
#
# The key is kept on a file system with the label ltsp-keys (ext4, or vfat, whose tools write capital letters), in the
# file ltsp-key. Nothing is ever formatted, and no key that is there is ever replaced. Without such a file system the key
# ends with the boot, unless the machine has a TPM 2.0 and the image has tpm2-tools and openssl: then it follows from the
# TPM, and nothing is written at all.

disks=${disks:-/dev/disk/by-label}
keygen=/usr/bin/ssh-keygen

# tell WORDS: a line of the journal.
tell() { echo "<4>$*"; }

# public FILE: print the public half of a key; fails if it is no key that the server takes.
public() {
    local kind word
    # shellcheck disable=SC2034
    read -r kind word _ <<-END
	$("$keygen" -y -P '' -f "$1" 2>/dev/null)
	END
    [ "$kind" = ssh-ed25519 ] && echo "$kind $word"
}

# take: take the key that is on the file system; 1: it can't be used, 2: there is none yet.
take() {
    if [ ! -e "$place/ltsp-key" ] && [ ! -L "$place/ltsp-key" ]; then return 2; fi
    if [ -f "$place/ltsp-key" ] && [ ! -L "$place/ltsp-key" ] &&
        "$busybox" head -c 4096 "$place/ltsp-key" >"$login/key.new" && public "$login/key.new" >/dev/null; then
        return 0
    fi
    tell "$device holds a file ltsp-key that is no Ed25519 key without a passphrase. It stays as it is; move it away," \
        "and the next boot makes another one."
    return 1
}

# make: make a key.
make() {
    rm -f "$login/key.new" "$login/key.new.pub"
    "$keygen" -q -t ed25519 -N '' -C '' -f "$login/key.new"
}

# put_away: write the new key to the file system, so that after a loss of power either all of it is there or nothing.
put_away() {
    /usr/bin/mount -o remount,rw "$place" && rm -f "$place/.ltsp-key.new" &&
        cp "$login/key.new" "$place/.ltsp-key.new" && /usr/bin/sync "$place/.ltsp-key.new" &&
        mv "$place/.ltsp-key.new" "$place/ltsp-key" && /usr/bin/sync "$place" &&
        "$busybox" cmp -s "$login/key.new" "$place/ltsp-key"
}

# keep_key: have the key that this client keeps at key.new. The unit has mounts of its own, so nobody else sees it.
keep_key() {
    local result=0
    # udev finds disks and names their file systems. Without its disk a machine would not be known again.
    udevadm settle --timeout=60
    device=$disks/ltsp-keys
    [ -b "$device" ] || device=$disks/LTSP-KEYS
    [ -b "$device" ] || return 1
    place=$login/keys
    [ -d "$place" ] || mkdir "$place"
    if ! /usr/bin/mount -t ext4,vfat -o ro,nosuid,nodev,noexec "$device" "$place"; then
        tell "$device can't be mounted as ext4 or vfat, so the key of this client lasts for this boot only."
        return 1
    fi
    take || result=$?
    if [ "$result" = 2 ]; then
        result=1
        if make && put_away; then
            result=0
        else
            tell "The key of this client can't be written to $device, so it lasts for this boot only."
        fi
    fi
    /usr/bin/umount "$place"
    return "$result"
}

# tpm: have the key of this machine's TPM at key.new. The TPM makes a key for keyed hashes of its owner's seed, the same
# one each time, and never gives it away. Its hash of a fixed text is the seed of our key.
tpm() {
    local seed pub kind head begin middle end
    if [ ! -e "${chip:-/dev/tpmrm0}" ] || [ ! -x /usr/bin/tpm2_hmac ] || [ ! -x /usr/bin/openssl ]; then return 1; fi
    seed=$(
        export TPM2TOOLS_TCTI="${tcti:-device:/dev/tpmrm0}"
        tpm2_createprimary -Q -C o -g sha256 -G hmac -c "$login/tpm" \
            -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' &&
            printf 'ltspd: the key of this client, 1' | tpm2_hmac -c "$login/tpm" --hex
    )
    rm -f "$login/tpm"
    if [ "${#seed}" != 64 ]; then
        tell "The TPM of this machine gives no key, so the key of this client lasts for this boot only."
        return 1
    fi
    # A private key of 32 bytes as RFC 8410 writes it, and its public half at the end of what openssl makes of that.
    pub=$(binary "302e020100300506032b657004220420$seed" | openssl pkey -inform DER -pubout -outform DER |
        tail -c 32 | od -An -v -tx1 | tr -d ' \n')
    # OpenSSH's own format (PROTOCOL.key), as older versions read no other for Ed25519: neither cipher nor passphrase, one
    # key; then its public half, a check number twice, both halves again, no comment, and signs up to a multiple of eight.
    kind=0000000b7373682d6564323535313900000020
    head=6f70656e7373682d6b65792d76310000000004
    head=${head}6e6f6e65000000046e6f6e65000000000000000100000033
    begin=000000880000000100000001 middle=00000040 end=000000000102030405
    {
        echo '-----BEGIN OPENSSH PRIVATE KEY-----'
        binary "$head$kind$pub$begin$kind$pub$middle$seed$pub$end" | openssl base64
        echo '-----END OPENSSH PRIVATE KEY-----'
    } >"$login/key.new"
    public "$login/key.new" >/dev/null
}

# binary HEX: print the bytes. Both commands are the shell's own, so nobody sees them among the processes' arguments.
binary() {
    # shellcheck disable=SC2059
    printf "$(echo "$1" | sed 's/../\\x&/g')"
}

# tell_server: report the key. Three times, because the network may be busy; later reports say it as well.
tell_server() {
    local tries=0 uptime
    while [ "$tries" -lt 3 ]; do
        read -r uptime _ </proc/uptime
        describe root ''
        send "$said" && return
        tries=$((tries + 1))
        sleep 1
    done
    tell "The server did not take the key of this client."
}

umask 077
own_kept=1
if ! keep_key && ! tpm; then
    own_kept=0
    make || exit 1
fi
own_key=$(public "$login/key.new") || exit 1
rm -f "$login/key.new.pub"
mv "$login/key.new" "$login/key"
umask 022
echo "$own_key" >"$login/key.pub"
echo "$own_kept" >"$login/kept"
tell_server

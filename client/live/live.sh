# shellcheck shell=dash disable=SC2154,SC2034
# What ltsp-live.service runs in the booted system: one request waits at the server, which answers when there is news.
# Nothing is asked at rest. features/85-live.sh puts the client's variables, boot/report.sh and what takes the news
# (accounts.sh …) before this. The other side is ltspd/gateway/live.py; docs/live.md describes both.
#
# What the server has signed is a file with its signature beside it, so nobody else on the network can say anything.

login=$store/login state=$store/news keygen=/usr/bin/ssh-keygen
# Bytes of a signed document at most: accounts of 50,000 people.
document_most=8388608

# chance NUMBER: print a random number below it.
chance() {
    echo $(($("$busybox" od -An -N4 -tu4 /dev/urandom) % $1))
}

# wait_up_to MILLISECONDS: wait for a random time, so that a school does not ask all at once.
wait_up_to() {
    local time
    [ "$1" -gt 0 ] || return 0
    time=$(chance "$1")
    sleep "$((time / 1000)).$(printf %03d $((time % 1000)))"
}

# get NAME: print what the server has at this address of ours.
get() {
    "$busybox" timeout 60 "$busybox" wget -q -O - "$base/$1" 2>/dev/null | head -c "$document_most"
}

# fetch_signed NAME FILE: fetch a document, and put it into FILE if the server has signed it.
fetch_signed() {
    get "$1" >"$2.part" && [ -s "$2.part" ] && get "$1.sig" >"$2.sig" && [ -s "$2.sig" ] || return 1
    if ! "$keygen" -Y verify -f "$state/allowed_signers" -I ltsp-server -n ltspd -s "$2.sig" \
        <"$2.part" >/dev/null 2>&1; then
        echo "<4>$base/$1 is not signed by the server that this client booted from, so it is not taken."
        return 1
    fi
    mv "$2.part" "$2"
}

# head_of FILE: set serial and document to what the first two lines of a document say.
head_of() {
    serial=0 document=''
    { read -r serial && read -r document; } 2>/dev/null <"$1"
    serial=${serial#serial=} document=${document#document=}
    case "$serial" in '' | *[!0-9]*) serial=0 ;; esac
}

# is_current NAME DIGEST: whether this is the document that is in force here.
is_current() {
    [ -e "$state/$1" ] || return 1
    set -- "$2" "$("$busybox" sha256sum "$state/$1")"
    [ "$1" = "${2%% *}" ]
}

# take NAME DIGEST: bring a document into force that the server has anew. Only a newer one is taken, whatever an
# older one's signature says.
take() {
    local before
    if is_current "$1" "$2"; then return 0; fi
    # A document may change between the fetching of its two halves.
    fetch_signed "$1" "$state/$1.new" || { wait_up_to 1000 && fetch_signed "$1" "$state/$1.new"; } || return 1
    head_of "$state/$1"
    before=$serial
    head_of "$state/$1.new"
    if [ "$document" != "$1" ] || [ "$serial" -le "$before" ]; then
        echo "<4>The server's $1 (serial $serial) are not newer than those here ($before), so they are not taken."
        return 0
    fi
    # What this client was booted with, against which settings are compared (settings.sh).
    if [ "$1" = settings ] && [ -e "$state/settings" ] && [ ! -e "$state/booted" ]; then
        cp "$state/settings" "$state/booted"
    fi
    mv "$state/$1.new" "$state/$1"
    "take_$1" || echo "<3>The server's new $1 could not be brought into force; the next ones will be."
    return 0
}

# news ANSWER: act on what the server has answered.
news() {
    local key value revision_then='' orders='' accounts='' settings='' spread=0
    echo "$1" >"$state/answer"
    while IFS='=' read -r key value; do
        case "$key$value" in *[!A-Za-z0-9._-]*) continue ;; esac
        case "$key" in
            revision) revision_then=$value ;;
            accounts) accounts=$value ;;
            settings) settings=$value ;;
            order) orders="$orders $value" ;;
            spread) spread=$value ;;
        esac
    done <"$state/answer"
    [ -n "$revision_then" ] || return 1
    case "$spread" in '' | *[!0-9]* | ??????*) spread=0 ;; esac
    wait_up_to "$spread"
    for value in $orders; do take_order "$value"; done
    if [ -n "$accounts" ]; then take accounts "$accounts" || return 1; fi
    if [ -n "$settings" ]; then take settings "$settings" || return 1; fi
    revision=$revision_then
}

# The uids in /run/systemd/users are those of people who are logged in; that directory is logind's.
# take_accounts [GONE]: bring the accounts into force; the sessions of the uid GONE have just ended.
take_accounts() {
    local each here=''
    for each in /run/systemd/users/*; do
        each=${each##*/}
        case "$each" in *[!0-9]* | "${1-}") ;; *) here="$here $each" ;; esac
    done
    # Who comes when he logs in is added by another process.
    (
        /usr/bin/flock 9
        merge_accounts /etc "$state/accounts" "$login" "$here" "$(($("$busybox" date +%s) / 86400))"
    ) 9>"$login/lock" >"$state/said.new" || return 1
    [ "$(cat "$state/said" 2>/dev/null)" = "$(cat "$state/said.new")" ] || cat "$state/said.new"
    mv "$state/said.new" "$state/said"
    while read -r each; do systemctl --no-block start "ltsp-gone@$each.service"; done <"$login/merge/leaving"
    [ "$END_SESSIONS" = 1 ] || return 0
    cat "$login/merge/leaving" "$login/merge/closed" | while read -r each; do
        # By the number: logind does not find the name of an account that is being removed.
        /usr/bin/busctl --quiet call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
            TerminateUser u "$each"
    done
}

# report_again: tell a server that may have been restarted what this client is; fails while there is none.
report_again() {
    local now
    [ -e "$login/report" ] || return 0
    read -r now _ </proc/uptime
    send "$("$busybox" sed "s/^clock=.*/clock=$now/; /^marks=/d" "$login/report")"
}

# live: wait for news, for ever. After a broken connection or a restart of the server all clients come back within ten
# seconds and not at one moment; while it stays away they come more and more seldom.
live() {
    local answer began now silence limit=10
    revision=''
    read -r boot </proc/sys/kernel/random/boot_id
    while :; do
        read -r began _ </proc/uptime
        # A server that lost its power ends no connection, so a silent one is tried anew once an hour. Not by wget's
        # own -T, which not every busybox can do.
        silence=$(chance 1200)
        answer=''
        if [ "$limit" = 10 ] || report_again; then
            answer=$("$busybox" timeout $((3000 + silence)) "$busybox" wget -q -O - \
                "$base/live?mac=$mac&boot=$boot&revision=$revision" 2>/dev/null | head -c 4096)
        fi
        if [ -n "$answer" ] && news "$answer"; then
            limit=10
            continue
        fi
        read -r now _ </proc/uptime
        if [ $((${now%.*} - ${began%.*})) -ge 60 ]; then limit=10; fi
        wait_up_to "${limit}000"
        if [ "$limit" -lt 160 ]; then limit=$((limit * 2)); fi
    done
}

case "$base" in http://*) ;; *) base=http://$server/ltsp ;; esac
if [ "${1-}" = gone ]; then
    take_accounts "$2"
elif [ "${1-}" = features ]; then
    run_live_features
elif [ -x "$keygen" ]; then
    live
else
    echo "<5>This image has no ssh-keygen (openssh-client), so changes on the server come with the next boot."
fi

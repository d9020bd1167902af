# shellcheck shell=dash disable=SC2154
# The server's accounts beside those of the image: at the boot (features/40-accounts.sh), and in the running system
# whenever the server has others (live.sh). docs/live.md describes the document.

# merge_accounts ETC DOCUMENT KNOWN HERE DAY: bring passwd, group and shadow of ETC up to date with the server's document.
# KNOWN is the directory that says what the last merge brought; HERE are the uids of the people who are logged in, DAY is
# today as shadow(5) counts days. KNOWN/merge/leaving and closed then have the uids of those whose account is gone or
# closed.
merge_accounts() {
    local work=$3/merge shadow=$1/shadow each
    [ ! -e "$work" ] || rm -rf "$work"
    [ -d "$3" ] || mkdir -p "$3"
    mkdir -m 700 "$work"
    for each in merged accounts; do [ -f "$3/$each" ] || : >"$3/$each"; done
    open_files "$1" passwd group shadow
    if [ ! -f "$shadow" ]; then
        shadow=/dev/null
        (umask 077 && : >"$1/.ltsp/shadow")
    fi
    for each in leaving closed changed; do : >"$work/$each"; done
    work_out_accounts "$1" "$shadow" "$2" "$3/merged" "$3/accounts" "$work/" "$1/.ltsp/" "$4" "$5" || return 1
    mv "$work/merged" "$work/accounts" "$3"
    set -- "$1"
    while read -r each; do set -- "$@" "$each"; done <"$work/changed"
    close_files "$@"
}

# bring_accounts ETC DOCUMENT KNOWN: the same at the boot, by one process. Nobody uses these files yet, so they are written
# in their places, and keep owner and mode.
bring_accounts() {
    [ -f "$1/shadow" ] || (umask 077 && : >"$1/shadow")
    work_out_accounts "$1" "$1/shadow" "$2" /dev/null /dev/null "$3/" "$1/"
}

# work_out_accounts ETC SHADOW DOCUMENT MERGED ACCOUNTS OUT TARGET [HERE DAY]: read all but OUT and TARGET, then write the
# files that differ to TARGET, and to OUT what was brought; with DAY also what merge_accounts needs.
# An account of the image wins, by name and by number, because services run as it and files belong to it. So a server's
# account whose name or uid the image has is left out and named on stdout. So is one whose own group has the number of
# another group of the image: it would get that group's rights. A group that both have keeps the image's number and
# gets the server's members too (sudo, audio …), as far as they are accounts here. Names are taken as they are; the
# server has left out those that would be more than a name in these files.
# Nobody gets a password: `*` fits none, and whatever checks passwords has to ask the server. The date from which on an
# account is closed is in its shadow line, so that su, cron and the login without a password refuse it too.
# An account that the server has no more goes; while its owner is logged in, it stays and is closed. What else is in the
# files by now stays. Nobody gets a number that was another's since the boot, because that one's files may be here.
work_out_accounts() {
    awk -F: -v out="$6" -v etc="$7" -v here="${8-}" -v today="${9-}" '
        function sound(name, number) {
            return name !~ "^$|^[-+~.]|[,/[:space:][:cntrl:]]" && number ~ /^[0-9]+$/
        }
        function is_ours(name, number) {
            if (name in ours) return ours[name] == number
            return (name in by_login) && by_login[name] == number && (name in wants) && wants[name] == number
        }
        function note(text) { print text >(out "merged") }
        function tell(name, number) { print name ":" number >(out "accounts") }
        # Whoever watches a file hears only of changes.
        function put(file, text) {
            if (text == before[file]) return
            printf "%s", text >(etc file)
            if (today != "") print file >(out "changed")
        }
        BEGIN {
            printf "" >(out "merged"); printf "" >(out "accounts")
            number = split(here, uids, " ")
            for (i = 1; i <= number; i++) inside[uids[i]] = 1
        }
        # Those that have most lines come first, because each comparison costs time.
        part == "group" {
            before[part] = before[part] $0 "\n"
            if (($1 in our_group) && our_group[$1] == $3) {
                if (!($3 in leaving_group)) next
                note("group:" $1 ":" $3)
            }
            at[$1] = ++count; gid[$3] = $1; line[count] = $1 ":" $2 ":" $3
            if ($4 == "") next
            number = split($4, has, ",")
            for (i = 1; i <= number; i++)
                if (!(($1, has[i]) in our_member)) members[count] = members[count] (members[count] == "" ? "" : ",") has[i]
            next
        }
        part == "shadow" {
            before[part] = before[part] $0 "\n"
            shadow_name[++shadows] = $1; shadow_line[shadows] = $0
            next
        }
        part == "merged" && $1 == "account" { ours[$2] = $3; next }
        part == "merged" && $1 == "group" { our_group[$2] = $3; next }
        part == "merged" && $1 == "member" { our_member[$2, $3] = 1; next }
        part == "merged" && $1 == "uid" { had[$2] = $3; note($0); next }
        # Accounts that came when their owners logged in (see home), and not with a document.
        part == "logins" { if (!($1 in ours)) by_login[$1] = $2; next }
        part == "document" && $1 == "passwd" && NF == 8 && sound($2, $4) && $4 > 0 {
            wanted[++accounts_wanted] = $0; wants[$2] = $4
            next
        }
        part == "document" && $1 == "group" && NF == 5 && sound($2, $4) {
            wanted_group[++groups_wanted] = $0; theirs[$4] = $2
            next
        }
        part == "document" && $1 == "expires" && NF == 3 && $3 ~ /^[0-9]+$/ { expires[$2] = $3; next }
        part == "passwd" { before[part] = before[part] $0 "\n" }
        part == "passwd" && is_ours($1, $3) {
            if (($1 in wants) && wants[$1] == $3) next
            if (!($3 in inside)) { dropped[$1] = 1; print "account " $1 " is gone"; next }
            leaving[$1] = $3; leaving_group[$4] = 1
            note("account:" $1 ":" $3)
            print $3 >(out "leaving")
        }
        part == "passwd" {
            if (($1 in by_login) && by_login[$1] == $3) {
                tell($1, $3)
                if (!($3 in had)) { note("uid:" $3 ":" $1); had[$3] = $1 }
            } else if ($1 in leaving) tell($1, $3)
            accounts = accounts $0 "\n"; known[$1] = $3; uid[$3] = $1
            next
        }
        END {
            for (i = 1; i <= accounts_wanted; i++) {
                split(wanted[i], a, ":")
                if (a[2] in leaving) print "account " a[2] " gets its new number when its sessions have ended"
                if (a[2] in known) continue
                if (a[4] in uid) {
                    print "account " a[2] " is left out: its number " a[4] " is " uid[a[4]] " in this image"
                    continue
                }
                if ((a[4] in had) && had[a[4]] != a[2]) {
                    print "account " a[2] " is left out until this client restarts: its number " a[4] " was " \
                        had[a[4]]
                    continue
                }
                if ((a[5] in gid) && (a[5] in theirs) && gid[a[5]] != theirs[a[5]]) {
                    print "account " a[2] " is left out: the number " a[5] " of its group " theirs[a[5]] \
                        " is " gid[a[5]] " in this image"
                    continue
                }
                known[a[2]] = a[4]; uid[a[4]] = a[2]; added[a[2]] = 1
                tell(a[2], a[4])
                accounts = accounts a[2] ":x:" a[4] ":" a[5] ":" a[6] ":" a[7] ":" a[8] "\n"
                shadow = shadow a[2] ":*:19000:0:99999:7::" expires[a[2]] ":\n"
                note("account:" a[2] ":" a[4])
                if (!(a[4] in had)) note("uid:" a[4] ":" a[2])
                if ((a[4] in inside) && (a[2] in expires) && expires[a[2]] <= today) print a[4] >(out "closed")
            }
            for (i = 1; i <= groups_wanted; i++) {
                split(wanted_group[i], g, ":")
                if (!(g[2] in at)) {
                    if (g[4] in gid) {
                        print "group " g[2] " is left out: its number " g[4] " is " gid[g[4]] " in this image"
                        continue
                    }
                    at[g[2]] = ++count; gid[g[4]] = g[2]; line[count] = g[2] ":x:" g[4]
                    note("group:" g[2] ":" g[4])
                }
                k = at[g[2]]
                number = split(g[5], people, ",")
                for (j = 1; j <= number; j++)
                    if ((people[j] in known) && !index("," members[k] ",", "," people[j] ",")) {
                        members[k] = members[k] (members[k] == "" ? "" : ",") people[j]
                        note("member:" g[2] ":" people[j])
                    }
            }
            for (i = 1; i <= count; i++) groups = groups line[i] ":" members[i] "\n"
            for (i = 1; i <= shadows; i++) {
                name = shadow_name[i]
                if ((name in added) || (name in dropped)) continue
                if (name in leaving) shadow_line[i] = name ":*:19000:0:99999:7::1:"
                others = others shadow_line[i] "\n"
            }
            # What asks by name finds the account in passwd, so that comes last.
            put("group", groups); put("shadow", others shadow); put("passwd", accounts)
        }
    ' part=merged "$4" part=logins "$5" part=document "$3" part=passwd "$1/passwd" part=group "$1/group" \
        part=shadow "$2"
}

# open_files ETC NAME…: copy those of these files that are there into ETC/.ltsp, with owner and mode. What is written to
# the copies comes into force with close_files.
open_files() {
    local etc=$1 each
    shift
    [ ! -e "$etc/.ltsp" ] || rm -r "$etc/.ltsp"
    mkdir -m 700 "$etc/.ltsp"
    for each in "$@"; do
        shift
        [ ! -f "$etc/$each" ] || set -- "$@" "$etc/$each"
    done
    cp -p "$@" "$etc/.ltsp"
}

# close_files ETC NAME…: put these copies in the places of the files, each by rename, in this order.
close_files() {
    local etc=$1 each
    shift
    for each in "$@"; do
        shift
        set -- "$@" "$etc/.ltsp/$each"
    done
    [ $# = 0 ] || mv "$@" "$etc"
    rm -r "$etc/.ltsp"
}

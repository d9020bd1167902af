# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# The server's accounts beside those of the image, so that people can log in.

# merge_accounts PASSWD GROUP SHADOW NEW_PASSWD NEW_GROUP: add the server's accounts to the image's files.
# An account of the image wins, by name and by number, because services run as it and files belong to it. So a server's
# account whose name or uid the image has is left out and named on stdout. So is one whose own group has the number of
# another group of the image: it would get that group's rights. A group that both have keeps the image's number and
# gets the server's members too (sudo, audio …), as far as they are accounts here. Names are taken as they are; the
# server has left out those that would be more than a name in these files.
# Nobody gets a password: `!` locks the entry, and whatever checks passwords has to ask the server.
merge_accounts() {
    [ -f "$3" ] || : >"$3"
    awk -F: -v OFS=: -v passwd="$1" -v group="$2" -v shadow="$3" '
        function sound(name, number) {
            return name !~ "^$|^[-+~.]|[,/[:space:][:cntrl:]]" && number ~ /^[0-9]+$/
        }
        part == 1 { accounts = accounts $0 "\n"; known[$1] = 1; uid[$3] = $1; next }
        part == 2 && NF == 4 { theirs[$3] = $1; next }
        part == 4 && NF == 7 && sound($1, $3) && $3 > 0 {
            if ($1 in known) next
            if ($3 in uid) {
                print "account " $1 " is left out: its number " $3 " is " uid[$3] " in this image"
                next
            }
            if (($4 in gid) && ($4 in theirs) && gid[$4] != theirs[$4]) {
                print "account " $1 " is left out: the number " $4 " of its group " theirs[$4] \
                    " is " gid[$4] " in this image"
                next
            }
            known[$1] = 1; uid[$3] = $1
            accounts = accounts $1 ":x:" $3 ":" $4 ":" $5 ":" $6 ":" $7 "\n"
            locked = locked $1 ":!:19000:0:99999:7:::\n"
            next
        }
        part == 3 { names[++count] = $1; at[$1] = count; gid[$3] = $1; line[count] = $1 ":" $2 ":" $3; members[count] = $4; next }
        part == 5 && NF == 4 && sound($1, $3) {
            if (!($1 in at)) {
                if ($3 in gid) {
                    print "group " $1 " is left out: its number " $3 " is " gid[$3] " in this image"
                    next
                }
                at[$1] = ++count; gid[$3] = $1; line[count] = $1 ":x:" $3
            }
            number = split($4, wanted, ",")
            for (i = 1; i <= number; i++) {
                has = "," members[at[$1]] ","
                if ((wanted[i] in known) && !index(has, "," wanted[i] ","))
                    members[at[$1]] = members[at[$1]] (members[at[$1]] == "" ? "" : ",") wanted[i]
            }
        }
        END {
            printf "%s", accounts >passwd
            printf "" >group
            for (i = 1; i <= count; i++) print line[i] ":" members[i] >group
            printf "%s", locked >>shadow
        }
    ' part=1 "$1" part=2 "$5" part=3 "$2" part=4 "$4" part=5 "$5"
}

if [ -s "$ltsp/passwd" ] && [ -f "$new/etc/passwd" ] && [ -f "$new/etc/group" ]; then
    merge_accounts "$new/etc/passwd" "$new/etc/group" "$new/etc/shadow" "$ltsp/passwd" "$ltsp/group"
fi

# needs: LTSP_API 1
# parameter: PWMERGE_DGR expression "" Of the image's own people only members of groups whose name fits stay; :sudo is one of the system's groups
# parameter: PWMERGE_DUR expression "" Of the image's own people only accounts whose name fits stay; without both expressions all do
# shellcheck shell=dash disable=SC2154
# Accounts of the image that clients shall not have. This comes before the server's accounts, which then can have their
# names and numbers. What is not between UID_MIN and UID_MAX of login.defs is the system's, and stays.

if [ -z "$PWMERGE_DUR$PWMERGE_DGR" ] || [ ! -f "$new/etc/passwd" ] || [ ! -f "$new/etc/group" ]; then return 0; fi
case "$PWMERGE_DUR$PWMERGE_DGR" in
    *'(?'* | *\\[A-Za-z0-9]*)
        say "PWMERGE_DUR and PWMERGE_DGR are left out: clients can't use all of Python's regular expressions"
        return 0
        ;;
esac
# What the image does not have has no lines.
set --
for each in login.defs members passwd shadow group gshadow; do
    file=$new/etc/$each
    if [ "$each" = members ]; then
        [ -n "$PWMERGE_DGR" ] || continue
        file=$new/etc/group
    fi
    [ -f "$file" ] || file=/dev/null
    set -- "$@" "part=$each" "$file"
done
# One process for all. It writes when it has read everything, and nobody else uses the files yet; they keep owner and mode.
# The expressions come by the environment, because awk changes backslashes in values of -v.
awk -F: -v etc="$new/etc/" '
    function fits(name, setting) { return ENVIRON[setting] != "" && name ~ ("^(" ENVIRON[setting] ")$") }
    function is_person(number) { return number >= least && number <= most }
    function staying(list,   number, i, name, rest) {
        number = split(list, name, ",")
        for (i = 1; i <= number; i++) if (!(name[i] in gone)) rest = rest (rest == "" ? "" : ",") name[i]
        return rest
    }
    function put() { text[part] = text[part] $0 "\n" }
    BEGIN { OFS = ":"; least = 1000; most = 60000 }
    # Most of it are comments.
    part == "login.defs" {
        if (!/^UID_/) next
        split($0, word, " ")
        if (word[1] == "UID_MIN") least = word[2] + 0
        if (word[1] == "UID_MAX") most = word[2] + 0
        next
    }
    part == "members" && fits(is_person($3) ? $1 : ":" $1, "PWMERGE_DGR") {
        kept_group[$3] = 1
        number = split($4, name, ",")
        for (i = 1; i <= number; i++) kept[name[i]] = 1
    }
    part == "passwd" {
        if (is_person($3) && !($1 in kept) && !($4 in kept_group) && !fits($1, "PWMERGE_DUR")) {
            gone[$1] = someone = 1
            left[$4] = 1
        } else {
            used[$4] = 1
            put()
        }
    }
    # Then nothing changes.
    !someone && (part == "shadow" || part == "group") { exit }
    part == "shadow" && !($1 in gone) { put() }
    part == "group" {
        $4 = staying($4)
        if ($4 == "" && is_person($3) && ($3 in left) && !($3 in used)) gone_group[$1] = 1
        else put()
    }
    part == "gshadow" && !($1 in gone_group) {
        $3 = staying($3)
        $4 = staying($4)
        put()
    }
    { there[part] = 1 }
    END {
        if (!someone) exit
        split("group gshadow shadow passwd", file, " ")
        for (i = 1; i <= 4; i++) if (file[i] in there) printf "%s", text[file[i]] >(etc file[i])
    }
' "$@"

# shellcheck shell=dash disable=SC2154,SC2034,SC2317,SC1090,SC1091
# Settings of ltsp.conf that change while a client runs. What features with the line "# live" do is done again; all else
# comes with the next boot, and the server is told what waits for that. live.sh calls take_settings.

# take_settings: bring the server's new settings into force, as far as that can be. Code of ltsp.conf does not run again
# in a system that people use: with code, all waits for the next boot.
take_settings() {
    local new=$state/new file
    if grep -q '^ltsp_code=' "$state/settings" "$state/booted"; then
        if sed '/^serial=/d; /^document=settings$/d' "$state/settings" | "$busybox" cmp -s - "$state/booted"; then
            : >"$state/pending"
        else
            echo CODE >"$state/pending"
        fi
        if [ -e "$store/report" ]; then "$busybox" sh "$store/report" again; fi
        return
    fi
    rm -rf "$new"
    mkdir "$new"
    # A process of its own, which a command that fails ends, as at the boot.
    "$busybox" sh "$store/news/live" features || return 1
    read -r END_SESSIONS <"$state/end_sessions"
    find "$new" -type f | while read -r file; do
        if [ -e "${file#"$new"}" ]; then replace "${file#"$new"}" "$file"; fi
    done
    values "$state/booted" >"$state/values.booted"
    values "$state/settings" >"$state/values"
    awk -v live="$live_settings" '
        function is_live(name,   i, stem) {
            for (i in known) {
                stem = known[i]
                if (stem == name || (sub(/[*]$/, "", stem) && index(name, stem) == 1)) return 1
            }
            return 0
        }
        BEGIN { split(live, known, " ") }
        { name = $0; sub(/=.*/, "", name); value = substr($0, length(name) + 2) }
        NR == FNR { before[name] = value; next }
        { after[name] = value }
        END {
            for (name in after) if (after[name] != before[name] && !is_live(name)) print name
            for (name in before) if (!(name in after) && before[name] != "" && !is_live(name)) print name
        }
    ' "$state/values.booted" "$state/values" | "$busybox" sort | "$busybox" xargs >"$state/pending"
    # The report reads it.
    if [ -e "$store/report" ]; then "$busybox" sh "$store/report" again; fi
}

# replace FILE NEW: by rename, and only if it differs. It keeps its owner and mode.
replace() {
    [ "$(cat "$1")" != "$(cat "$2")" ] || return 0
    cp -p "$1" "$1.ltsp"
    cat "$2" >"$1.ltsp"
    mv "$1.ltsp" "$1"
}

# run_live_features: run the features that may run again, in an empty directory.
run_live_features() {
    local feature
    say() { echo "$*"; }
    new=$state/new run=$state/new/run
    . "$state/settings"
    set -a
    ltsp_settings "$mac" "$address" "$given_name" "$server"
    set +a
    set -e
    for feature in "$state"/[0-9]*-*.sh; do
        if [ -e "$feature" ]; then . "$feature"; fi
    done
    echo "$END_SESSIONS" >"$state/end_sessions"
}

# values FILE: print each setting of this client with its value, in which \n stands for the end of a line.
values() {
    (
        . "$1"
        set -a
        ltsp_settings "$mac" "$address" "$given_name" "$server"
        { sed -n 's/^    unset //p' "$1"; echo HOSTNAME; echo SERVER; } |
            awk '{ value = ENVIRON[$1]; gsub(/\n/, "\\n", value); print $1 "=" value }'
    )
}

# needs: LTSP_API 1
# wants: CRONTAB_* /usr/sbin/cron|/usr/sbin/crond|/usr/bin/crond|/usr/lib/systemd/system-generators/systemd-crontab-generator cron|cronie|cronie cron
# parameter: CRONTAB_* text "" A line for a client's crontab: five times, a user and a command, as in crontab(5)
# shellcheck shell=dash disable=SC2154
# Lines for cron.

take_family CRONTAB
# In a trial, nothing that people want of a client may end it, such as the command that switches it off.
if [ -z "$members" ] || [ "$trial" = 1 ]; then return 0; fi
if lacks 'CRONTAB_*' 'CRONTAB_x is left out'; then return 0; fi
# cron takes no line of a file in which one line is wrong.
jobs=$(awk -v passwd="$new/etc/passwd" '
    function fits(field, most,   number, i, part) {
        if (field !~ /^[0-9A-Za-z*,\/~-]+$/) return 0
        gsub(/\/[0-9]+/, "", field)
        number = split(field, part, /[^0-9]+/)
        for (i = 1; i <= number; i++) if (part[i] + 0 > most) return 0
        return 1
    }
    function is_job(   user) {
        user = 6
        if ($1 ~ /^@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)$/) user = 2
        else if (!(fits($1, 59) && fits($2, 23) && fits($3, 31) && fits($4, 12) && fits($5, 7))) return 0
        return NF > user && ($user in known)
    }
    BEGIN { while ((getline line <passwd) > 0) { split(line, field, ":"); known[field[1]] = 1 } }
    /^[ \t]*(#|$)/ || /^[ \t]*[A-Za-z_][A-Za-z0-9_]*[ \t]*=/ || is_job() { print; next }
    { print "# This is no line for cron, or its user is not known here: " $0 }
' <<END
$members
END
)
write "$new/etc/cron.d/ltsp" "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
$jobs"
case "$jobs" in
    *'# This is no line for cron'*) say "lines of CRONTAB_x are left out: /etc/cron.d/ltsp has them as comments" ;;
esac

/* Stands for libpam while the module is linked, so that no architecture needs its own one: names, and nothing else. */
#define STANDS_FOR(name) void name(void); void name(void) {}
STANDS_FOR(pam_chauthtok)
STANDS_FOR(pam_end)
STANDS_FOR(pam_get_item)
STANDS_FOR(pam_get_user)
STANDS_FOR(pam_modutil_getpwnam)
STANDS_FOR(pam_prompt)
STANDS_FOR(pam_putenv)
STANDS_FOR(pam_set_data)
STANDS_FOR(pam_set_item)
STANDS_FOR(pam_start)
STANDS_FOR(pam_syslog)

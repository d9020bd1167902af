/*
 * pam_ltspd: the server judges who logs in on a client, and asks and tells the person itself.
 *
 * Runs the image's ssh, and hands each prompt and message of the server's PAM on to whoever asks the person here. All
 * options of ssh are in DIR/ssh_config, except those that this module needs to be right. Argument: dir=DIR, by default
 * /run/ltsp/login. `DIR/home up USER` brings the home by the connection that authenticated: a master with the socket
 * DIR/users/UID/master, which runs as that user; as root, if the client has not known the account at its first login.
 * The password is in no argument, environment, file or log.
 */
#include "talk.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SSH "/usr/bin/ssh"
#define IS_PERSON(uid) ((uid) >= 1000 && (uid) != 65534)
#define TELL_ADMINISTRATOR " Please tell your administrator."

static char *in_dir(const struct talk *t, char path[108], const char *name)
{
    return snprintf(path, 108, "%s/%s", t->dir, name) < 108 ? path : strcpy(path, "/nonexistent");
}

/* Whether a socket's directory is root's: there is, or was, the connection of somebody who was not known before. */
static int is_roots(const char *socket)
{
    char folder[108];
    struct statx about;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(socket, '/') - socket), socket);
    return statx(AT_FDCWD, folder, 0, STATX_UID, &about) == 0 && about.stx_uid == 0;
}

/* Have the server judge the person: only that, or with a master that listens on `socket`. Returns a PAM code. */
static int judge(struct talk *t, const char *socket, unsigned port)
{
    char config[108], words[512], option[32] = "NumberOfPasswordPrompts=1";
    /* A key of this machine, which AUTOLOGIN may have, is no proof of who the person is. */
#define ALWAYS SSH, "-F", in_dir(t, config, "ssh_config"), "-l", t->user, "-o", "NumberOfPasswordPrompts=1", "-o", option, \
    "-o", "PreferredAuthentications=keyboard-interactive"
    const char *const master[] = {ALWAYS, "-S", socket, "-M", "-f", "-N", "ltsp-login", NULL};
    /* By a connection that is there already, any password would be right. */
    const char *const only[] = {ALWAYS, "-S", "none", "-o", "ControlMaster=no", "-s", "ltsp-login", "sftp", NULL};
    int as_person = socket && t->known && !is_roots(socket), code, status;
    if (port)
        snprintf(option, sizeof option, "Port=%u", port);
    if (euidaccess(config, R_OK) < 0) {
        tell(t, PAM_ERROR_MSG, "This machine does not know its login server yet. Please try again in a moment.");
        return PAM_AUTHINFO_UNAVAIL;
    }
    status = run(t, socket ? master : only, as_person ? t->known->pw_uid : 0, as_person ? t->known->pw_gid : 0, NULL, &code);
    show(t, code == PAM_SUCCESS && status ? PAM_ERROR_MSG : PAM_TEXT_INFO);
    if (code != PAM_SUCCESS || !status)
        return code;
    if (t->spoke || t->refused)
        return t->expired ? PAM_ACCT_EXPIRED : t->spoke ? PAM_PERM_DENIED : PAM_AUTH_ERR;
    snprintf(words, sizeof words, "The login server %s (%s). Please try again later, or tell your administrator.",
             t->prompts ? "has ended the connection" : "can't be reached", t->reason[0] ? t->reason : "no reason given");
    tell(t, PAM_ERROR_MSG, status == NO_PROGRAM ? "This machine's image has no " SSH "." TELL_ADMINISTRATOR :
         t->stranger ? "The login server has another key than the one that this machine was booted with. "
                       "Please restart this machine, or tell your administrator." : words);
    return PAM_AUTHINFO_UNAVAIL;
}

/* Keep what was right for the modules after us, and forget all else. */
static int finish(struct talk *t, int code)
{
    if (code == PAM_SUCCESS && t->password)
        pam_set_item(t->pamh, PAM_AUTHTOK, t->password);
    if (code == PAM_SUCCESS && t->old)
        pam_set_item(t->pamh, PAM_OLDAUTHTOK, t->old);
    wipe(&t->password);
    wipe(&t->old);
    wipe(&t->last);
    return code;
}

/* Run `home up` or `home down`; what it prints is for the person. */
static int home(struct talk *t, const char *verb)
{
    char script[108], *rest = t->output.data, *line;
    const char *const argv[] = {in_dir(t, script, "home"), verb, t->user, NULL};
    int code, status = run(t, argv, 0, 0, &t->facts, &code);
    while ((line = strsep(&rest, "\n")))
        if (*line)
            tell(t, status ? PAM_ERROR_MSG : PAM_TEXT_INFO, line);
    t->output.length = 0;
    return status;
}

/* Find out whose account this is: of this client's image, the server's, or one that the client does not know. */
static enum account { LOCAL, SERVERS, UNKNOWN } whose(struct talk *t, pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    char path[108], line[512], wanted[300];
    enum account found = LOCAL;
    memset(t, 0, sizeof *t);
    t->pamh = pamh;
    t->flags = flags;
    t->dir = argc > 0 && !strncmp(argv[0], "dir=", 4) ? argv[0] + 4 : "/run/ltsp/login";
    if (pam_get_user(pamh, &t->user, NULL) != PAM_SUCCESS || !t->user || strlen(t->user) > 255 ||
        matches(t->user, "^-|^$|[][:space:][:cntrl:]:/\"'`;&<>|(){}$[]"))
        return LOCAL;
    t->known = pam_modutil_getpwnam(pamh, t->user);
    if (!t->known || !IS_PERSON(t->known->pw_uid))
        return t->known ? LOCAL : UNKNOWN;
    snprintf(wanted, sizeof wanted, "%s:%u\n", t->user, t->known->pw_uid);
    FILE *accounts = fopen(in_dir(t, path, "accounts"), "re");
    while (accounts && found == LOCAL && fgets(line, sizeof line, accounts))
        found = strcmp(line, wanted) ? LOCAL : SERVERS;
    if (accounts)
        fclose(accounts);
    return found;
}

/* Set `path` to the socket of a user's master, and make its directory. Returns -1 if that can't be had. */
static int place(struct talk *t, char path[108], uid_t uid, gid_t gid)
{
    char name[64];
    mkdir(in_dir(t, path, "users"), 0711);
    snprintf(name, sizeof name, "users/%s%u", uid ? "" : "new.", uid ? uid : (uid_t)getpid());
    if (uid && (mkdir(in_dir(t, path, name), 0700) == 0 ? lchown(path, uid, gid) < 0 : errno != EEXIST))
        return -1;
    in_dir(t, path, uid ? strcat(name, "/master") : name);
    return 0;
}

/* Whether a home has lost its connection: `home` leaves a mark of that. */
static int lost(struct talk *t, char path[108])
{
    char name[64];

    snprintf(name, sizeof name, "users/%u/lost", t->known->pw_uid);
    return access(in_dir(t, path, name), F_OK) == 0;
}

static int listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* EAGAIN: somebody listens, and has much to do. */
    int answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
    close(fd);
    return answers;
}

/* Read a number, and go behind it. Not by the C library, whose newest versions have functions of their own for that. */
static unsigned number(const char **words)
{
    unsigned value = 0;
    while (**words >= '0' && **words <= '9' && value < 100000000)
        value = value * 10 + (unsigned)(*(*words)++ - '0');
    return value;
}

/* Give an account that this client has not known a place of its own. Returns -1 if the server has not told of it. */
static int move_in(struct talk *t, char path[108])
{
    char start[300], now[108];
    unsigned uid, gid;
    snprintf(start, sizeof start, "ltspd-passwd: %s:x:", t->user);
    const char *entry = strstr(t->facts.data, start);
    strcpy(now, path);
    entry += entry ? strlen(start) : 0;
    if (entry && (uid = number(&entry), *entry++ == ':') && (gid = number(&entry), *entry == ':') && gid && IS_PERSON(uid) &&
        place(t, path, uid, gid) == 0 && rename(now, path) == 0)
        return 0;
    tell(t, PAM_ERROR_MSG, "The server has not said which account you are." TELL_ADMINISTRATOR);
    strcpy(path, now);
    return -1;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    char path[108];
    const char *const end[] = {SSH, "-F", "/dev/null", "-S", path, "-O", "exit", "ltsp-login", NULL};
    const void *service = NULL, *preset = NULL;
    int code, ended, brings, renews, begins;
    if (whose(&t, pamh, flags, argc, argv) == LOCAL)
        return PAM_IGNORE;
    pam_get_item(pamh, PAM_SERVICE, &service);
    pam_get_item(pamh, PAM_AUTHTOK, &preset);
    t.preset = preset;
    /* polkit asks for an administrator's password, and gives no session. */
    brings = geteuid() == 0 && !(service && !strcmp(service, "polkit-1")) && euidaccess(in_dir(&t, path, "home"), X_OK) == 0;
    /* A home that lost its connection gets another one by the next right password, also at a locked screen. */
    renews = !brings && t.known && geteuid() == t.known->pw_uid && lost(&t, path);
    if ((brings || renews) && place(&t, path, t.known ? t.known->pw_uid : 0, t.known ? t.known->pw_gid : 0) < 0)
        return PAM_SYSTEM_ERR;
    begins = (brings || renews) && !listens(path);
    if (begins)
        unlink(path);
    code = judge(&t, begins ? path : NULL, 0);
    if (code == PAM_SUCCESS && brings && ((!t.known && move_in(&t, path) < 0) || home(&t, "up") != 0)) {
        code = PAM_CRED_INSUFFICIENT;
        if (begins)
            run(&t, end, 0, 0, &t.output, &ended);
    }
    return finish(&t, code);
}

int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    unsigned port = 0;
    char path[108], line[16] = "";
    const char *digits = line;
    if (whose(&t, pamh, flags, argc, argv) != SERVERS)
        return PAM_IGNORE;
    if (flags & PAM_PRELIM_CHECK)
        return PAM_SUCCESS;
    FILE *file = fopen(in_dir(&t, path, "port"), "re");
    if (file && fgets(line, sizeof line, file))
        port = number(&digits);
    if (file)
        fclose(file);
    if (!port) {
        tell(&t, PAM_ERROR_MSG, "This machine does not know where passwords are changed." TELL_ADMINISTRATOR);
        return PAM_AUTHTOK_ERR;
    }
    /* The server's sshd on the next port lets nobody in without a new password. */
    int code = finish(&t, judge(&t, NULL, port + 1));
    return code == PAM_PERM_DENIED ? PAM_AUTHTOK_ERR : code;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    return whose(&t, pamh, flags, argc, argv) == SERVERS ? PAM_SUCCESS : PAM_IGNORE;
}
int pam_sm_acct_mgmt(pam_handle_t *, int, int, const char **) __attribute__((alias("pam_sm_setcred")));

/* Sessions hold a shared lock, which also ends with their processes. Whoever gets all of it was the last. */
static int lock(struct talk *t, int how)
{
    char path[108];
    if (geteuid() != 0 || place(t, path, t->known->pw_uid, t->known->pw_gid) < 0)
        return -1;
    strcpy(strrchr(path, '/'), ".lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, how) == 0)
        return fd;
    close(fd);
    return -1;
}

static void let_go(pam_handle_t *pamh, void *data, int error)
{
    (void)pamh, (void)error;
    close((int)(long)data);
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    int fd = whose(&t, pamh, flags, argc, argv) == SERVERS ? lock(&t, LOCK_SH) : -1;
    return fd < 0 ? PAM_IGNORE : pam_set_data(pamh, "ltspd-session", (void *)(long)fd, let_go);
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    if (whose(&t, pamh, flags, argc, argv) != SERVERS)
        return PAM_IGNORE;
    pam_set_data(pamh, "ltspd-session", NULL, NULL);
    int fd = lock(&t, LOCK_EX | LOCK_NB);
    if (fd >= 0)
        home(&t, "down");
    close(fd);
    return PAM_SUCCESS;
}

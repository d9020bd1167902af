/* pam_ltspd: the server judges who logs in on a client, and asks and tells the person itself.
 * The script `home` (client/live/ask.sh, home.sh) starts the image's ssh, and opens the home by the connection that
 * authenticated. ssh asks on its controlling terminal, which is a pty of ours, and whose ECHO bit tells hidden from
 * visible prompts; the server's messages come on its standard error. This module hands each of them on to whoever asks
 * the person here, and says what became of it. The password is in no argument, environment, file or log. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#define LOGIN "/run/ltsp/login"
#define HELD "ltspd-lock" /* what PAM keeps for us: that the person is here, */
#define TURN "ltspd-turn" /* and that it is this login's turn to open the home */
/* Their greeters show the last message only, own words in place of an error, no line's end, and sessions at once. */
#define GREETERS "^(lightdm|sddm|greetd|plasmalogin)"
#define QUIET 20 /* milliseconds without output after which we look whether ssh waits for an answer */
/* ssh's own words are about the connection, except that somebody was refused. */
#define REFUSED ": permission denied \\(|too many authentication failures"
#define CONNECTION "^(connection |received disconnect|disconnected |kex_|ssh|client_loop|timeout, |read from |write |" \
    "mux_|controlsocket |bad packet|banner exchange|warning: perm)"

/* What was read so far; `skip` more bytes are no part of it. */
struct text { char data[8192]; size_t length, skip; };
/* One call of the module: who, where, and what was said so far. */
struct talk {
    pam_handle_t *pamh;
    int flags, greeter, prompts, refused, spoke, expired, kept;
    int code;                       /* of PAM: whether all went well here, whatever the server says */
    const char *user;
    const void *service, *preset;   /* who calls us, and a password that another module has asked for */
    struct text terminal, output;   /* since the last answer; not yet handed on */
    int facts;                      /* a file with lines for `home up`, which are not for the person */
    char reason[256];               /* the last thing that ssh itself said */
    char last[512];                 /* the last hidden answer */
};

/* Whether words have what an extended regular expression describes, in capital letters or not. */
static int matches(const char *words, const char *pattern)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB))
        return 0;
    int found = regexec(&compiled, words, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

/* Show the person something; `style` is PAM_TEXT_INFO or PAM_ERROR_MSG. */
static void tell(struct talk *t, int style, char *words)
{
    for (char *at = words, *begin = at; t->greeter && *at; at++) {
        if (*at == ' ' && at + 1 + strcspn(at + 1, " \n") - begin > 80)
            *at = '\n';
        begin = *at == '\n' ? at + 1 : begin;
    }
    if (!(t->flags & PAM_SILENT))
        pam_prompt(t->pamh, t->greeter ? PAM_TEXT_INFO : style, NULL, "%s", words);
}

static const struct sigaction usual = {.sa_handler = SIG_DFL};
/* Start a program with nothing of the caller's: signals, descriptors, environment, terminal, rights. */
static pid_t start(const char *const argv[], int tty, int in, int out)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
    /* A program of root's, such as su, calls us with its caller's number beside its own. */
    uid_t uid = geteuid() ? getuid() : 0, gid = geteuid() ? getgid() : 0;
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &usual, NULL);
    sigprocmask(SIG_SETMASK, &usual.sa_mask, NULL);
    setsid();
    /* Ours may be among the first three, which the caller may have closed. */
    in = fcntl(in, F_DUPFD, 3), out = fcntl(out, F_DUPFD, 3);
    if ((tty >= 0 && ioctl(tty, TIOCSCTTY, 0)) || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        setresgid(gid, gid, gid) || setresuid(uid, uid, uid) || (tty >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)))
        _exit(1);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0)
        for (int fd = sysconf(_SC_OPEN_MAX); fd > 2; fd--)
            close(fd);
    execve(argv[0], (char *const *)argv, environment);
    _exit(127);
}

/* Whether the process waits for something. One that does, after it wrote a prompt, waits for the answer. */
static int asleep(pid_t pid)
{
    char name[32], words[64] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC), unknown = read(fd, words, sizeof words - 1) <= 0;
    close(fd);
    return unknown || strstr(words, ") S ");
}

/* Read what is there. Returns whether that was anything. */
static int take(struct text *to, int fd)
{
    char data[1024];
    ssize_t got = read(fd, data, sizeof data);
    for (ssize_t i = 0; i < got; i++)
        if (to->skip)
            to->skip--;
        else if (data[i] && data[i] != '\r' && to->length < sizeof to->data - 1)
            to->data[to->length++] = data[i];
    to->data[to->length] = 0;
    explicit_bzero(data, sizeof data);
    return got > 0;
}

/* Lines that came from the server or from ssh: each for `home up`, about the connection, or for the person. */
static void hear(struct talk *t, char *lines, int style)
{
    char all[sizeof t->terminal.data], *end = all;
    for (char *line; (line = strsep(&lines, "\n"));)
        if (matches(line, "^ltspd-(passwd|groups): ")) {
            dprintf(t->facts, "%s\n", line);
        } else if (t->prompts && matches(line, REFUSED)) {
            t->refused = 1;
        } else if (*line && (!t->prompts || matches(line, CONNECTION))) {
            snprintf(t->reason, sizeof t->reason, "%s", line);
            pam_syslog(t->pamh, LOG_NOTICE, "%s", line);
        } else if (line[strspn(line, " \t")]) {
            t->spoke = 1;
            t->expired |= matches(line, "account has expired");
            end += sprintf(end, "%s%s", end > all ? "\n" : "", line);
            if (!t->greeter)
                tell(t, style, end = all);
        }
    if (end > all)
        tell(t, style, all);
}

/* Keep a hidden answer that is no one-time code for the modules after us: the first one is the password, one given twice
 * is the new one. */
static void keep(struct talk *t, const char *prompt, const char *answer)
{
    const void *password = NULL;
    pam_get_item(t->pamh, PAM_AUTHTOK, &password);
    if ((!t->kept || (!strcmp(t->last, answer) && strcmp(password, answer))) &&
        !matches(prompt, "one.time|otp|oath|code|token|pin")) {
        if (t->kept++ == 1)
            pam_set_item(t->pamh, PAM_OLDAUTHTOK, password);
        pam_set_item(t->pamh, PAM_AUTHTOK, answer);
    }
    snprintf(t->last, sizeof t->last, "%s", answer);
}

/* Put what is on the terminal to the person, its last line as a prompt, and the answer on the terminal. */
static int ask(struct talk *t, int tty)
{
    struct termios now;
    int hidden = tcgetattr(tty, &now) < 0 || !(now.c_lflag & ECHO), code = PAM_SUCCESS;
    char *line = t->terminal.data, *next, *answer = NULL, from[300], words[sizeof t->terminal.data];
    while (t->terminal.length && line[t->terminal.length - 1] == '\n')
        line[--t->terminal.length] = 0;
    snprintf(from, sizeof from, "(%s@", t->user);
    if (!strncmp(line, from, strlen(from)) && (next = strstr(line, ") ")))
        line = next + 2;
    /* What ssh says before it first asks is for the log. */
    hear(t, t->output.data, PAM_TEXT_INFO);
    t->prompts++;
    if ((next = strrchr(line, '\n'))) {
        snprintf(words, t->greeter ? sizeof words : (size_t)(next - line) + 1, "%s", line);
        hear(t, words, PAM_TEXT_INFO);
        line = next + 1;
    }
    if (hidden && t->preset)
        answer = strdup(t->preset), t->preset = NULL;
    else
        code = pam_prompt(t->pamh, hidden ? PAM_PROMPT_ECHO_OFF : PAM_PROMPT_ECHO_ON, &answer, "%s", line);
    if (code == PAM_SUCCESS && (answer || (answer = strdup("")))) {
        size_t size = strcspn(answer, "\r\n");
        if (hidden)
            keep(t, line, answer);
        /* After a hidden answer ssh writes a newline, a visible one comes back as a whole. */
        t->terminal.skip = hidden ? 1 : size + 1;
        if (write(tty, answer, size) != (ssize_t)size || write(tty, "\n", 1) != 1)
            code = PAM_SYSTEM_ERR;
        explicit_bzero(answer, strlen(answer));
    }
    t->terminal.length = t->output.length = t->spoke = 0;
    free(answer);
    return code;
}

/* Make a pty that changes nothing: a prompt arrives as it was written, and a password may be any. */
static int make_terminal(int ends[2])
{
    int locked = 0;
    struct termios raw;
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (ends[0] < 0 || ioctl(ends[0], TIOCSPTLCK, &locked) < 0 ||
        (ends[1] = ioctl(ends[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 || tcgetattr(ends[1], &raw) < 0)
        return -1;
    cfmakeraw(&raw);
    raw.c_lflag = (raw.c_lflag & ~ECHOCTL) | ECHO;
    return tcsetattr(ends[1], TCSANOW, &raw);
}

/* Run `home VERB USER` to its end, with the facts on standard input. If it `asks`, it has a terminal, and its prompts are
 * put to the person. Returns its exit status; -1 if it has none, and then t->code says why. */
static int home(struct talk *t, const char *verb, int asks)
{
    struct sigaction theirs;
    int tty[2] = {-1, -1}, out[2] = {-1, -1}, status = -1;
    pid_t pid = -1, done = 0;
    t->output.length = 0;
    if (t->facts < 0)
        t->facts = memfd_create("facts", MFD_CLOEXEC);
    /* With SIGCHLD ignored the kernel keeps no exit status, and a handler of the caller's may take it. */
    sigaction(SIGCHLD, &usual, &theirs);
    if (pipe2(out, O_CLOEXEC) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 && (!asks || make_terminal(tty) == 0))
        pid = start((const char *const[]){LOGIN "/home", verb, t->user, NULL}, tty[1], t->facts, out[1]);
    close(out[1]);
    t->code = pid < 0 ? PAM_SYSTEM_ERR : PAM_SUCCESS;
    /* The pty never ends, as we hold its other end, too. The pipe may end before the program, or long after it. */
    int ended = syscall(SYS_pidfd_open, pid, 0U); /* kernels before 5.3 have none: QUIET passes then */
    while (t->code == PAM_SUCCESS && done == 0) {
        struct pollfd from[3] = {{tty[0], POLLIN, 0}, {out[0], POLLIN, 0}, {ended, POLLIN, 0}};
        int more = poll(from, 3, QUIET) > 0 && (take(&t->terminal, tty[0]) | take(&t->output, out[0]));
        if (from[1].revents == POLLHUP)
            close(out[0]), out[0] = -1;
        done = waitpid(pid, &status, WNOHANG);
        if (done == 0 && !more && t->terminal.length && asleep(pid) && !take(&t->terminal, tty[0]))
            t->code = ask(t, tty[0]);
    }
    if (done == 0 && pid > 0) {
        kill(pid, SIGKILL);
        (void)TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
    }
    while (take(&t->output, out[0])) {}
    explicit_bzero(&t->terminal, sizeof t->terminal);
    close(tty[0]), close(tty[1]), close(out[0]), close(ended);
    sigaction(SIGCHLD, &theirs, NULL);
    return t->code == PAM_SUCCESS && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What is known of an account: it is of this client's image, of the server, or the client does not know it. */
enum account { LOCAL, SERVERS, UNKNOWN };
static enum account whose(struct talk *t, pam_handle_t *pamh, int flags)
{
    char line[512], wanted[300];
    enum account found = LOCAL;
    *t = (struct talk){.pamh = pamh, .flags = flags, .facts = -1};
    pam_get_item(pamh, PAM_SERVICE, &t->service);
    t->greeter = matches(t->service, GREETERS);
    if (pam_get_user(pamh, &t->user, NULL) != PAM_SUCCESS || !t->user || strlen(t->user) > 255 ||
        matches(t->user, "^-|^$|[][:space:][:cntrl:]:/\"'`;&<>|(){}$[]"))
        return LOCAL;
    struct passwd *known = pam_modutil_getpwnam(pamh, t->user);
    if (!known || known->pw_uid < 1000 || known->pw_uid == 65534)
        return known ? LOCAL : UNKNOWN;
    snprintf(wanted, sizeof wanted, "%s:%u\n", t->user, known->pw_uid);
    FILE *accounts = fopen(LOGIN "/accounts", "re");
    while (accounts && found == LOCAL && fgets(line, sizeof line, accounts))
        found = strcmp(line, wanted) ? LOCAL : SERVERS;
    if (accounts)
        fclose(accounts);
    return found;
}

/* Have the server judge the person, by a connection that `verb` makes. Returns a PAM code. */
static int judge(struct talk *t, const char *verb)
{
    char words[512];
    int status = home(t, verb, 1);
    hear(t, t->output.data, status ? PAM_ERROR_MSG : PAM_TEXT_INFO);
    if (t->code != PAM_SUCCESS || status == 0)
        return t->code;
    if (t->spoke || t->refused)
        return t->expired ? PAM_ACCT_EXPIRED : t->spoke ? PAM_PERM_DENIED : PAM_AUTH_ERR;
    snprintf(words, sizeof words, "The login server %s (%s). Please try again later, or tell your administrator.",
             t->prompts ? "has ended the connection" : "can't be reached", t->reason[0] ? t->reason : "no reason given");
    if (matches(t->reason, "^host key verification failed"))
        strcpy(words, "The login server has another key than the one that this machine was booted with. "
               "Please restart this machine, or tell your administrator.");
    tell(t, PAM_ERROR_MSG, words);
    return PAM_AUTHINFO_UNAVAIL;
}

/* Leave the modules after us nothing that was wrong, hold no home then, and forget all. */
static int finish(struct talk *t, int code)
{
    if (code != PAM_SUCCESS) {
        pam_set_item(t->pamh, PAM_AUTHTOK, NULL), pam_set_item(t->pamh, PAM_OLDAUTHTOK, NULL);
        pam_set_data(t->pamh, HELD, NULL, NULL);
    }
    close(t->facts);
    explicit_bzero(t, sizeof *t);
    return code;
}

/* Give the keyring the password that a login has just set. Its daemon wants a directory, also without a session. */
static void change_keyring(const struct talk *t)
{
    const struct pam_conv conv = {.appdata_ptr = t->pamh};
    struct passwd *known = pam_modutil_getpwnam(t->pamh, t->user);
    pam_handle_t *pamh;
    char place[64];
    if (t->kept < 2 || !known || pam_start("ltspd-keyring", t->user, &conv, &pamh) != PAM_SUCCESS)
        return;
    snprintf(place, sizeof place, "XDG_RUNTIME_DIR=/run/user/%u", known->pw_uid);
    if (access(place + strlen("XDG_RUNTIME_DIR="), F_OK))
        snprintf(place, sizeof place, "XDG_RUNTIME_DIR=" LOGIN "/users/%u", known->pw_uid);
    pam_putenv(pamh, place);
    pam_end(pamh, pam_chauthtok(pamh, PAM_SILENT));
}

/* The first module of that change: take the passwords of a login. */
static int take_passwords(pam_handle_t *pamh)
{
    const void *conv = NULL, *old = NULL, *new = NULL;
    pam_get_item(pamh, PAM_CONV, &conv);
    pam_handle_t *login = ((const struct pam_conv *)conv)->appdata_ptr;
    if (pam_get_item(login, PAM_OLDAUTHTOK, &old) || pam_get_item(login, PAM_AUTHTOK, &new))
        return PAM_AUTHTOK_ERR;
    return pam_set_item(pamh, PAM_OLDAUTHTOK, old) | pam_set_item(pamh, PAM_AUTHTOK, new);
}

static void let_go(pam_handle_t *pamh, void *data, int error) { close((int)(long)data); }
/* Sessions, and logins that become one, hold a shared lock, which also ends with their processes. While anybody has it,
 * nobody closes the home (client/live/home.sh). */
static int hold(const struct talk *t, const char *lock, int how)
{
    char path[512];
    snprintf(path, sizeof path, LOGIN "/users/%s.%s", t->user, lock + strlen("ltspd-"));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return flock(fd, how) < 0 ? PAM_IGNORE : pam_set_data(t->pamh, lock, (void *)(long)fd, let_go);
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    if (whose(&t, pamh, flags) == LOCAL)
        return PAM_IGNORE;
    pam_get_item(pamh, PAM_AUTHTOK, &t.preset);
    /* polkit asks for an administrator's password, and gives no session. */
    int enters = geteuid() == 0 && strcmp(t.service, "polkit-1");
    int code = judge(&t, enters ? "enter" : "judge");
    if (code == PAM_SUCCESS && enters) {
        hold(&t, HELD, LOCK_SH);
        hold(&t, TURN, LOCK_EX);
        lseek(t.facts, 0, SEEK_SET);
        code = home(&t, "up", 0) ? PAM_CRED_INSUFFICIENT : PAM_SUCCESS;
        pam_set_data(pamh, TURN, NULL, NULL);
        hear(&t, t.output.data, code ? PAM_ERROR_MSG : PAM_TEXT_INFO);
        if (code == PAM_SUCCESS)
            change_keyring(&t);
    }
    if (code == PAM_SUCCESS && t.spoke && t.greeter)
        sleep(4);
    return finish(&t, code);
}

int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    if (argc && !strcmp(argv[0], "keyring"))
        return take_passwords(pamh);
    enum account found = whose(&t, pamh, flags);
    if (found != SERVERS || (flags & PAM_PRELIM_CHECK))
        return found == SERVERS ? PAM_SUCCESS : PAM_IGNORE;
    int code = finish(&t, judge(&t, "change"));
    return code == PAM_PERM_DENIED ? PAM_AUTHTOK_ERR : code;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    return whose(&t, pamh, flags) == SERVERS ? PAM_SUCCESS : PAM_IGNORE;
}
int pam_sm_acct_mgmt(pam_handle_t *, int, int, const char **) __attribute__((alias("pam_sm_setcred")));
int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    return whose(&t, pamh, flags) == SERVERS ? hold(&t, HELD, LOCK_SH) : PAM_IGNORE;
}
int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    return pam_set_data(pamh, HELD, NULL, NULL);
}

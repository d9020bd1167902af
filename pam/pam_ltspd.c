/*
 * pam_ltspd: the server judges who logs in on a client, and asks and tells the person itself.
 *
 * Runs the image's ssh, and hands each prompt and message of the server's PAM on to whoever asks the person here. All
 * options of ssh are in DIR/ssh_config, except those that this file needs to be right. Argument: dir=DIR, by default
 * /run/ltsp/login.
 *
 * ssh asks on its controlling terminal, which is a pty of ours: its ECHO bit tells hidden from visible prompts. The
 * server's messages come on ssh's standard error. `DIR/home up USER` brings the home by the connection that
 * authenticated: a master with the socket DIR/users/UID/master, which runs as that user; as root, if the client has
 * not known the account before. The password is in no argument, environment, file or log.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <regex.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#define SSH "/usr/bin/ssh"
#define HOST "ltsp-login"
/* Milliseconds without output after which we look whether ssh waits for an answer. */
#define QUIET 20
#define IS_PERSON(uid) ((uid) >= 1000 && (uid) != 65534)
/* Exit status of a child of ours for which there is no program, as of a shell. */
#define NO_PROGRAM 127
/* ssh's own words are about the connection, except that somebody was refused. */
#define CONNECTION "^(connection |received disconnect|disconnected |kex_|ssh|client_loop|timeout, |read from |write |" \
    "mux_|controlsocket |bad packet|banner exchange|warning: perm)"
#define REFUSED ": permission denied \\(|too many authentication failures"
/* Prompts for what is right only once. */
#define CODE "one.time|otp|oath|code|token|pin"

enum account { LOCAL, SERVERS, UNKNOWN };

/* What was read so far; `skip` more bytes are no part of it. */
struct text {
    char data[8192];
    size_t length, skip;
};

/* One call of the module: who, where, and what was said so far. */
struct talk {
    pam_handle_t *pamh;
    int flags, prompts, refused, spoke, expired, stranger;
    const char *user, *dir, *preset;
    struct passwd *known;           /* NULL: this client does not know the name */
    struct text terminal, output;   /* since the last answer; not yet handed on */
    struct text facts;              /* lines for `home up`, which are not for the person */
    char reason[256];               /* the last thing that ssh itself said; for the log, and where nobody else spoke */
    char *password, *old, *last;
};

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static int matches(const char *words, const char *pattern)
{
    regex_t compiled;
    int found = regcomp(&compiled, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0;

    if (found) {
        found = regexec(&compiled, words, 0, NULL, 0) == 0;
        regfree(&compiled);
    }
    return found;
}

static char *in_dir(const struct talk *t, char path[108], const char *name)
{
    return snprintf(path, 108, "%s/%s", t->dir, name) < 108 ? path : strcpy(path, "/nonexistent");
}

static void tell(struct talk *t, int style, const char *words)
{
    if (!(t->flags & PAM_SILENT))
        pam_prompt(t->pamh, style, NULL, "%s", words);
}

/*
 * In the child: be that user with nothing else. One capability that allows almost nothing (to wake the machine by a
 * timer) stays: so the user's other processes can't trace this one, and make it say that a password was right.
 */
static int become(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct keep[2] = {{0, 0, 0}, {0, CAP_TO_MASK(CAP_WAKE_ALARM), CAP_TO_MASK(CAP_WAKE_ALARM)}};

    if (geteuid() != 0)
        return setresgid(getgid(), getgid(), getgid()) || setresuid(getuid(), getuid(), getuid());
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresuid(uid, uid, uid))
        return -1;
    return uid && (syscall(SYS_capset, &head, keep) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_WAKE_ALARM, 0, 0));
}

/* Start a program with nothing of the caller's: signals, descriptors, environment, terminal, directory, rights. */
static pid_t start(const char *const argv[], uid_t uid, gid_t gid, int tty, int in, int out)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    umask(022);
    /* Ours may be among the first three, which the caller may have closed. */
    in = fcntl(in, F_DUPFD, 3);
    out = fcntl(out, F_DUPFD, 3);
    if ((tty >= 0 && ioctl(tty, TIOCSCTTY, 0) < 0) || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        chdir("/") < 0)
        _exit(1);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0)
        for (int fd = sysconf(_SC_OPEN_MAX); fd > 2; fd--)
            close(fd);
    /* When ssh goes to the background, its parent's end hangs the terminal up. What ends it instead is our own end. */
    if (become(uid, gid) || (tty >= 0 && (signal(SIGHUP, SIG_IGN) == SIG_ERR || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))))
        _exit(1);
    execve(argv[0], (char *const *)argv, environment);
    _exit(NO_PROGRAM);
}

/* Whether the process waits for something. One that does, after it wrote a prompt, waits for the answer. */
static int asleep(pid_t pid)
{
    char name[32], state = 'S';
    FILE *about;

    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    if ((about = fopen(name, "re"))) {
        if (fscanf(about, "%*d (%*[^)]) %c", &state) != 1)
            state = 'S';
        fclose(about);
    }
    return state == 'S';
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

/* One line that came from the server or from ssh: for `home up`, about the connection, or for the person. */
static void hear(struct talk *t, const char *line, int style)
{
    size_t left = sizeof t->facts.data - t->facts.length;

    if (matches(line, "^ltspd-(passwd|groups): ")) {
        if (strlen(line) + 2 <= left)
            t->facts.length += sprintf(t->facts.data + t->facts.length, "%s\n", line);
    } else if (matches(line, REFUSED)) {
        t->refused = 1;
    } else if (!t->prompts || matches(line, CONNECTION)) {
        t->stranger |= matches(line, "^host key verification failed");
        if (*line) {
            snprintf(t->reason, sizeof t->reason, "%s", line);
            pam_syslog(t->pamh, LOG_NOTICE, "%s", line);
        }
    } else if (line[strspn(line, " \t")]) {
        t->spoke = 1;
        t->expired |= matches(line, "account has expired");
        tell(t, style, line);
    }
}

/* Hand on the lines of the output. */
static void show(struct talk *t, int style)
{
    char *rest = t->output.data, *line;

    while ((line = strsep(&rest, "\n")))
        hear(t, line, style);
    t->output.length = 0;
}

/* Keep a hidden answer: the first one that is no one-time code is the password, one given twice is the new one. */
static void keep(struct talk *t, const char *prompt, const char *answer)
{
    if (t->password ? t->last && !strcmp(t->last, answer) && strcmp(t->password, answer) : !matches(prompt, CODE)) {
        wipe(&t->old);
        t->old = t->password;
        t->password = strdup(answer);
    }
    wipe(&t->last);
    t->last = strdup(answer);
}

/* Put what is on the terminal to the person, its last line as a prompt, and the answer on the terminal. */
static int ask(struct talk *t, int tty)
{
    struct termios now;
    int hidden = tcgetattr(tty, &now) < 0 || !(now.c_lflag & ECHO), code = PAM_SUCCESS;
    char *line = t->terminal.data, *next, *answer = NULL, from[300];
    size_t size;

    while (t->terminal.length && line[t->terminal.length - 1] == '\n')
        line[--t->terminal.length] = 0;
    snprintf(from, sizeof from, "(%s@", t->user);
    if (!strncmp(line, from, strlen(from)) && (next = strstr(line + strlen(from), ") ")))
        line = next + 2;
    t->prompts++;
    show(t, PAM_TEXT_INFO);
    for (; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        hear(t, line, PAM_TEXT_INFO);
    }
    if (hidden && t->preset)
        answer = strdup(t->preset);
    else
        code = pam_prompt(t->pamh, hidden ? PAM_PROMPT_ECHO_OFF : PAM_PROMPT_ECHO_ON, &answer, "%s", line);
    if (code == PAM_SUCCESS && !answer && !(answer = strdup("")))
        code = PAM_BUF_ERR;
    if (code != PAM_SUCCESS)
        return code;
    size = strcspn(answer, "\r\n");
    if (hidden) {
        t->preset = NULL;
        keep(t, line, answer);
    }
    /* After a hidden answer ssh writes a newline, a visible one comes back as a whole. */
    t->terminal.skip = hidden ? 1 : size + 1;
    t->terminal.length = t->spoke = 0;
    if (write(tty, answer, size) != (ssize_t)size || write(tty, "\n", 1) != 1)
        code = PAM_SYSTEM_ERR;
    wipe(&answer);
    return code;
}

/* Make a pty that changes nothing: a prompt arrives as it was written, and a password may be any. */
static int make_terminal(int ends[2])
{
    int locked = 0;
    struct termios raw;

    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (ends[0] < 0 || ioctl(ends[0], TIOCSPTLCK, &locked) < 0)
        return -1;
    ends[1] = ioctl(ends[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[1] < 0 || tcgetattr(ends[1], &raw) < 0)
        return -1;
    cfmakeraw(&raw);
    raw.c_lflag = (raw.c_lflag & ~ECHOCTL) | ECHO;
    return tcsetattr(ends[1], TCSANOW, &raw);
}

/*
 * Run a program to its end, with `input` on standard input. Without one it has a terminal, and its prompts are put to
 * the person. Returns its exit status; -1 if it has none, and then `code` is a PAM code.
 */
static int run(struct talk *t, const char *const argv[], uid_t uid, gid_t gid, struct text *input, int *code)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, theirs;
    int tty[2] = {-1, -1}, in[2] = {-1, -1}, out[2] = {-1, -1}, status = 0;
    pid_t pid = -1, done = 0;

    /* With SIGCHLD ignored the kernel keeps no exit status, and a handler of the caller's may take it. */
    sigaction(SIGCHLD, &usual, &theirs);
    /* A pipe holds more than all input, so that nobody has to read meanwhile. */
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 &&
        (input ? write(in[1], input->data, input->length) == (ssize_t)input->length : make_terminal(tty) == 0))
        pid = start(argv, uid, gid, tty[1], in[0], out[1]);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    *code = pid < 0 ? PAM_SYSTEM_ERR : PAM_SUCCESS;
    while (*code == PAM_SUCCESS && done == 0) {
        /* Our end of the pty never ends, as we hold the other one, too. The pipe may stay open after the program. */
        struct pollfd from[2] = {{tty[0], POLLIN, 0}, {out[0], POLLIN, 0}};
        int more = 0;

        if (poll(from, 2, QUIET) > 0)
            more = take(&t->terminal, tty[0]) | take(&t->output, out[0]);
        if (from[1].revents == POLLHUP)
            usleep(QUIET * 1000);
        done = waitpid(pid, &status, WNOHANG);
        if (done < 0)
            done = errno == EINTR ? 0 : -1;
        if (done == 0 && !more && t->terminal.length && asleep(pid) && !take(&t->terminal, tty[0]))
            *code = ask(t, tty[0]);
    }
    if (done == 0 && pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    while (take(&t->output, out[0]))
        ;
    explicit_bzero(&t->terminal, sizeof t->terminal);
    close(tty[0]);
    close(tty[1]);
    close(out[0]);
    sigaction(SIGCHLD, &theirs, NULL);
    if (*code == PAM_SUCCESS && done != pid)
        *code = PAM_SYSTEM_ERR;
    return *code == PAM_SUCCESS && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Say why ssh failed, where the server has not. Returns the PAM code of that. */
static int failed(struct talk *t, int status)
{
    char words[512];

    show(t, PAM_ERROR_MSG);
    if (t->spoke)
        return t->expired ? PAM_ACCT_EXPIRED : PAM_PERM_DENIED;
    if (t->refused)
        return PAM_AUTH_ERR;
    snprintf(words, sizeof words, "The login server %s (%s). Please try again later, or tell your administrator.",
             t->prompts ? "has ended the connection" : "can't be reached", t->reason[0] ? t->reason : "no reason given");
    tell(t, PAM_ERROR_MSG, status == NO_PROGRAM ? "This machine's image has no " SSH ". Please tell your administrator." :
         t->stranger ? "The login server has another key than the one that this machine was booted with. "
                       "Please restart this machine, or tell your administrator." : words);
    return PAM_AUTHINFO_UNAVAIL;
}

/* Have the server judge the person: only that, or with a master that listens on `socket`. Returns a PAM code. */
static int judge(struct talk *t, const char *socket, int port)
{
    char config[108], option[32] = "NumberOfPasswordPrompts=1";
#define ALWAYS SSH, "-F", in_dir(t, config, "ssh_config"), "-l", t->user, "-o", "NumberOfPasswordPrompts=1", "-o", option
    const char *const master[] = {ALWAYS, "-S", socket, "-M", "-f", "-N", HOST, NULL};
    /* By a connection that is there already, any password would be right. */
    const char *const only[] = {ALWAYS, "-S", "none", "-o", "ControlMaster=no", "-s", HOST, "sftp", NULL};
    int as_person = socket && t->known, code, status;

    if (port)
        snprintf(option, sizeof option, "Port=%d", port);
    if (euidaccess(config, R_OK) < 0) {
        tell(t, PAM_ERROR_MSG, "This machine does not know its login server yet. Please try again in a moment.");
        return PAM_AUTHINFO_UNAVAIL;
    }
    status = run(t, socket ? master : only, as_person ? t->known->pw_uid : 0, as_person ? t->known->pw_gid : 0, NULL, &code);
    if (code == PAM_SUCCESS && status)
        return failed(t, status);
    show(t, PAM_TEXT_INFO);
    return code;
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
static enum account whose(struct talk *t, pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    char path[108], line[512], wanted[300];
    enum account found = LOCAL;
    FILE *accounts;

    memset(t, 0, sizeof *t);
    t->pamh = pamh;
    t->flags = flags;
    t->dir = argc > 0 && !strncmp(argv[0], "dir=", 4) ? argv[0] + 4 : "/run/ltsp/login";
    if (pam_get_user(pamh, &t->user, NULL) != PAM_SUCCESS || !t->user || !*t->user || *t->user == '-' ||
        strlen(t->user) > 255 || strpbrk(t->user, " \t\n\r:/\"'`;&<>|(){}$"))
        return LOCAL;
    t->known = pam_modutil_getpwnam(pamh, t->user);
    if (!t->known || !IS_PERSON(t->known->pw_uid))
        return t->known ? LOCAL : UNKNOWN;
    snprintf(wanted, sizeof wanted, "%s:%u\n", t->user, t->known->pw_uid);
    accounts = fopen(in_dir(t, path, "accounts"), "re");
    while (accounts && found == LOCAL && fgets(line, sizeof line, accounts))
        if (!strcmp(line, wanted))
            found = SERVERS;
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
    in_dir(t, path, name);
    if (uid == 0)
        return 0;
    if (mkdir(path, 0700) == 0 ? lchown(path, uid, gid) < 0 : errno != EEXIST)
        return -1;
    in_dir(t, path, strcat(name, "/master"));
    return 0;
}

static int listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), answers;

    memcpy(address.sun_path, path, strlen(path) + 1);
    answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return answers;
}

/* Have a server's account that this client has not known its own place. Returns -1 if the server has not told of it. */
static int move_in(struct talk *t, char path[108])
{
    char start[300], now[108], *entry;
    unsigned uid, gid;

    snprintf(start, sizeof start, "ltspd-passwd: %s:x:", t->user);
    entry = strstr(t->facts.data, start);
    strcpy(now, path);
    if (entry && sscanf(entry + strlen(start), "%u:%u:", &uid, &gid) == 2 && IS_PERSON(uid) &&
        place(t, path, uid, gid) == 0 && rename(now, path) == 0)
        return 0;
    tell(t, PAM_ERROR_MSG, "The server has not said which account you are. Please tell your administrator.");
    strcpy(path, now);
    return -1;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    char path[108];
    const char *const end[] = {SSH, "-F", "/dev/null", "-S", path, "-O", "exit", HOST, NULL};
    const void *service = "", *preset = NULL;
    int code, ended, brings, begins;

    if (whose(&t, pamh, flags, argc, argv) == LOCAL)
        return PAM_IGNORE;
    pam_get_item(pamh, PAM_SERVICE, &service);
    pam_get_item(pamh, PAM_AUTHTOK, &preset);
    t.preset = preset;
    /* polkit asks for an administrator's password, and gives no session. */
    brings = geteuid() == 0 && !(service && !strcmp(service, "polkit-1")) && euidaccess(in_dir(&t, path, "home"), X_OK) == 0;
    if (brings && place(&t, path, t.known ? t.known->pw_uid : 0, t.known ? t.known->pw_gid : 0) < 0)
        return PAM_SYSTEM_ERR;
    begins = brings && !listens(path);
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
    int port = 0, code;
    char path[108];
    FILE *file;

    if (whose(&t, pamh, flags, argc, argv) != SERVERS)
        return PAM_IGNORE;
    if (flags & PAM_PRELIM_CHECK)
        return PAM_SUCCESS;
    file = fopen(in_dir(&t, path, "port"), "re");
    if (file && fscanf(file, "%5d", &port) != 1)
        port = 0;
    if (file)
        fclose(file);
    if (!port) {
        tell(&t, PAM_ERROR_MSG, "This machine does not know where passwords are changed. Please tell your administrator.");
        return PAM_AUTHTOK_ERR;
    }
    /* The server's sshd on the next port lets nobody in without a new password. */
    code = finish(&t, judge(&t, NULL, port + 1));
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
    int fd;

    if (geteuid() != 0 || place(t, path, t->known->pw_uid, t->known->pw_gid) < 0)
        return -1;
    strcpy(strrchr(path, '/'), ".lock");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
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
    int fd;

    if (whose(&t, pamh, flags, argc, argv) != SERVERS)
        return PAM_IGNORE;
    fd = lock(&t, LOCK_SH);
    return fd < 0 ? PAM_IGNORE : pam_set_data(pamh, "ltspd-session", (void *)(long)fd, let_go);
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    int fd;

    if (whose(&t, pamh, flags, argc, argv) != SERVERS)
        return PAM_IGNORE;
    pam_set_data(pamh, "ltspd-session", NULL, NULL);
    fd = lock(&t, LOCK_EX | LOCK_NB);
    if (fd >= 0) {
        home(&t, "down");
        close(fd);
    }
    return PAM_SUCCESS;
}

/*
 * pam_ltspd: the server judges who logs in on a client, and asks and tells the person itself.
 *
 * Runs the image's ssh, and hands each prompt and message of the server's PAM on to whoever asks the person here. All
 * options of ssh are in DIR/ssh_config, except those that this file needs to be right. Argument: dir=DIR, by default
 * /run/ltsp/login.
 *
 * ssh asks on its controlling terminal, which is a pty of ours: its ECHO bit tells hidden from visible prompts. The
 * server's messages come on ssh's standard error. `DIR/home up USER` brings the home, on the authenticated connection:
 * a master whose socket is DIR/users/UID/master and which runs as that user; as root if the client did not know the
 * account before. The password is in no argument, environment, file or log.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
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
/* Numbers of people's accounts; 65534 is nobody's. */
#define FIRST_UID 1000
#define NOBODY 65534
/* Exit status of a child of ours that could not start its program: as of a shell. */
#define NOT_STARTED 127

/* A login, or another use of the module: who, where, and what was said so far. */
struct talk {
    pam_handle_t *pamh;
    int flags;
    const char *user, *dir, *preset;
    struct passwd *known;      /* NULL: this client does not know the name */
    int tty, peer, said;       /* the pty's two ends, and what ssh says on standard error */
    char text[4096];           /* from the pty since the last answer */
    size_t length, skip;       /* of text; bytes that will come only because we answered */
    char line[4096];           /* an unfinished line from standard error, and how long it is */
    size_t filled;
    char lines[16384];         /* finished ones that nobody has seen yet */
    char facts[8192];          /* lines for `home up`, which are not for the person */
    char reason[256];          /* the last thing that ssh itself said */
    char *password, *old, *last;
    unsigned prompts;
    int refused, closed, spoke, expired, stranger;
};

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static int path(char *target, size_t size, const struct talk *t, const char *name)
{
    return snprintf(target, size, "%s/%s", t->dir, name) < (int)size ? 0 : -1;
}

static void tell(struct talk *t, int style, const char *text)
{
    char *unused = NULL;

    if (!(t->flags & PAM_SILENT))
        pam_prompt(t->pamh, style, &unused, "%s", text);
    wipe(&unused);
}

/* Descriptors of ours are never 0, 1 or 2, which the caller may have closed. */
static int high(int fd)
{
    int moved = fd < 0 || fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (moved != fd)
        close(fd);
    return moved;
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A pipe or, if `pty`, a terminal that changes nothing: a prompt arrives as it was written, and any password goes. */
static int ends(int fds[2], int pty)
{
    int unlocked = 0;
    struct termios raw;

    fds[0] = fds[1] = -1;
    if (!pty) {
        int both = pipe2(fds, O_CLOEXEC | O_NONBLOCK);
        fds[0] = high(fds[0]);
        fds[1] = high(fds[1]);
        return both < 0 || fds[0] < 0 || fds[1] < 0 || fcntl(fds[1], F_SETFL, 0) < 0 ? -1 : 0;
    }
    fds[0] = high(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    if (fds[0] < 0 || ioctl(fds[0], TIOCSPTLCK, &unlocked) < 0)
        return -1;
    fds[1] = high(ioctl(fds[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (fds[1] < 0 || tcgetattr(fds[1], &raw) < 0)
        return -1;
    cfmakeraw(&raw);
    raw.c_lflag = (raw.c_lflag & ~ECHOCTL) | ECHO;
    return tcsetattr(fds[1], TCSANOW, &raw);
}

/*
 * In the child: be that user with nothing else. One capability that allows almost nothing (to wake the machine by a
 * timer) stays: so the user's other processes can't trace this one, and make it say that a password was right.
 */
static int become(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct keep[2] = {{0, 0, 0}, {0, 0, 0}};

    if (geteuid() != 0)
        return setresgid(getgid(), getgid(), getgid()) || setresuid(getuid(), getuid(), getuid());
    if (setgroups(0, NULL) || setresgid(gid, gid, gid))
        return -1;
    if (uid == 0)
        return setresuid(0, 0, 0);
    keep[1].permitted = keep[1].inheritable = CAP_TO_MASK(CAP_WAKE_ALARM);
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresuid(uid, uid, uid) || syscall(SYS_capset, &head, keep) ||
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_WAKE_ALARM, 0, 0);
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
    /* A master leaves the terminal while its parent's end hangs that up. Ours ends it instead, by the line below. */
    if (tty >= 0)
        signal(SIGHUP, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    umask(022);
    if ((tty >= 0 && ioctl(tty, TIOCSCTTY, 0) < 0) || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        chdir("/") < 0)
        _exit(NOT_STARTED);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0)
        for (int fd = sysconf(_SC_OPEN_MAX); fd > 2; fd--)
            close(fd);
    if (become(uid, gid) == 0 && (tty < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0))
        execve(argv[0], (char *const *)argv, environment);
    _exit(NOT_STARTED);
}

/* Whether the process waits for something. One that does, after it wrote a prompt, waits for the answer. */
static int asleep(pid_t pid)
{
    char name[64], text[256], *end;
    int fd;
    ssize_t got;

    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    shut(&fd);
    if (got <= 0)
        return 1;
    text[got] = 0;
    end = strrchr(text, ')');
    return !end || end[1] != ' ' || end[2] == 'S';
}

/* One line that came from the server or from ssh: for `home up`, about the connection, or for the person. */
static void hear(struct talk *t, const char *line, int style)
{
    static const char *const ours[] = {"ltspd-passwd: ", "ltspd-groups: "};
    static const char *const connection[] = {"Connection ", "Received disconnect ", "Disconnected ", "kex_exchange_",
        "ssh: ", "ssh_", "client_loop: ", "Timeout, server ", "Read from remote host ", "Write failed", "mux_",
        "ControlSocket ", "Bad packet", "Unable to negotiate ", "banner exchange: ", "Warning: Permanently added "};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strncmp(line, ours[i], strlen(ours[i]))) {
            if (strlen(t->facts) + strlen(line) + 2 < sizeof t->facts)
                strcat(strcat(t->facts, line), "\n");
            return;
        }
    if (strstr(line, "Permission denied (") || strstr(line, "Too many authentication failures")) {
        t->refused = 1;
        return;
    }
    t->stranger |= !strncmp(line, "Host key verification failed", 28);
    for (size_t i = 0; i < sizeof connection / sizeof *connection; i++)
        if (!strncmp(line, connection[i], strlen(connection[i]))) {
            snprintf(t->reason, sizeof t->reason, "%s", line);
            t->closed = 1;
            return;
        }
    if (line[strspn(line, " \t")]) {
        t->spoke = 1;
        t->expired |= strcasestr(line, "account has expired") != NULL;
        if (style)
            tell(t, style, line);
        else
            pam_syslog(t->pamh, LOG_NOTICE, "%s", line);
    }
}

/* Hand over the lines on standard error that nobody has seen; without a style they only go to the log. */
static void show(struct talk *t, int style)
{
    char *rest = t->lines, *line;

    while ((line = strsep(&rest, "\n")))
        hear(t, line, style);
    t->lines[0] = 0;
}

/* Read what is there. Returns whether anything was. */
static int take(struct talk *t, int *fd, int terminal)
{
    char data[1024];
    ssize_t got = *fd < 0 ? -1 : read(*fd, data, sizeof data);

    if (got == 0 && !terminal)
        shut(fd);
    for (ssize_t i = 0; i < got; i++) {
        if (terminal) {
            if (t->skip)
                t->skip--;
            else if (data[i] != '\r' && data[i] && t->length < sizeof t->text - 1)
                t->text[t->length++] = data[i];
        } else if (data[i] != '\n') {
            if (data[i] != '\r' && data[i] && t->filled < sizeof t->line - 1)
                t->line[t->filled++] = data[i];
        } else {
            t->line[t->filled] = 0;
            t->filled = 0;
            if (strlen(t->lines) + strlen(t->line) + 2 < sizeof t->lines)
                strcat(strcat(t->lines, t->line), "\n");
        }
    }
    explicit_bzero(data, sizeof data);
    return got > 0;
}

/* Keep a hidden answer: the first one that is no one-time code is the password, one given twice is the new one. */
static void keep(struct talk *t, const char *prompt, const char *answer)
{
    static const char *const codes[] = {"one-time", "one time", "otp", "oath", "code", "token", "pin:", "pin "};
    int code = 0;

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        code |= strcasestr(prompt, codes[i]) != NULL;
    if (t->password ? t->last && !strcmp(t->last, answer) && strcmp(t->password, answer) : !code) {
        wipe(&t->old);
        t->old = t->password;
        t->password = strdup(answer);
    }
    wipe(&t->last);
    t->last = strdup(answer);
}

/* Put the prompt on the pty to the person, and the answer on the pty. Returns a PAM code. */
static int ask(struct talk *t)
{
    struct termios now;
    int hidden = tcgetattr(t->peer, &now) < 0 || !(now.c_lflag & ECHO), code = PAM_SUCCESS;
    char *rest = t->text, *line, *next, *answer = NULL, from[300];
    size_t size;

    t->text[t->length] = 0;
    while (t->length && t->text[t->length - 1] == '\n')
        t->text[--t->length] = 0;
    snprintf(from, sizeof from, "(%s@", t->user);
    if (!strncmp(rest, from, strlen(from)) && (next = strstr(rest + strlen(from), ") ")))
        rest = next + 2;
    t->prompts++;
    show(t, PAM_TEXT_INFO);
    for (line = rest; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        hear(t, line, PAM_TEXT_INFO);
    }
    if (hidden && t->preset)
        answer = strdup(t->preset);
    else
        code = pam_prompt(t->pamh, hidden ? PAM_PROMPT_ECHO_OFF : PAM_PROMPT_ECHO_ON, &answer, "%s", line);
    if (hidden)
        t->preset = NULL;
    if (code == PAM_SUCCESS) {
        size = answer ? strcspn(answer, "\r\n") : 0;
        if (answer)
            explicit_bzero(answer + size, strlen(answer + size));
        if (hidden)
            keep(t, line, answer ? answer : "");
        /* After a hidden answer ssh writes a newline, a visible one comes back as a whole. */
        t->skip = hidden ? 1 : size + 1;
        if ((size && write(t->tty, answer, size) != (ssize_t)size) || write(t->tty, "\n", 1) != 1)
            code = PAM_SYSTEM_ERR;
    }
    wipe(&answer);
    t->length = 0;
    /* The words from here on are about this answer. */
    t->spoke = 0;
    return code;
}

/* Run a program to its end; its prompts are put to the person if it has a terminal. Returns its exit status,
   or -1 with a PAM code in `code`. */
static int run(struct talk *t, const char *const argv[], uid_t uid, gid_t gid, int terminal, int in, int *code)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, theirs;
    int pty[2] = {-1, -1}, out[2] = {-1, -1}, null = high(open("/dev/null", O_RDWR | O_CLOEXEC)), status = -1;
    pid_t pid = -1, done = 0;

    *code = PAM_SYSTEM_ERR;
    /* With SIGCHLD ignored the kernel keeps no exit status, and a handler of the caller's may take it. */
    sigaction(SIGCHLD, &usual, &theirs);
    if (null >= 0 && ends(out, 0) == 0 && (!terminal || ends(pty, 1) == 0))
        pid = start(argv, uid, gid, pty[1], in >= 0 ? in : null, out[1]);
    shut(&out[1]);
    t->tty = pty[0];
    t->peer = pty[1];
    t->said = out[0];
    *code = PAM_SUCCESS;
    while (pid > 0 && done == 0) {
        struct pollfd from[2] = {{t->tty, POLLIN, 0}, {t->said, POLLIN, 0}};
        int more;

        poll(from, 2, QUIET);
        more = take(t, &t->tty, 1) | take(t, &t->said, 0);
        done = waitpid(pid, &status, WNOHANG);
        if (done < 0 && errno == EINTR)
            done = 0;
        if (done || more || !t->length || !asleep(pid) || poll(from, 2, 0) > 0)
            continue;
        *code = ask(t);
        if (*code != PAM_SUCCESS) {
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
            break;
        }
    }
    while (take(t, &t->said, 0))
        ;
    if (t->filled)
        snprintf(t->lines + strlen(t->lines), sizeof t->lines - strlen(t->lines), "%.*s", (int)t->filled, t->line);
    t->filled = t->length = t->skip = 0;
    explicit_bzero(t->text, sizeof t->text);
    shut(&t->tty);
    shut(&t->peer);
    shut(&t->said);
    shut(&null);
    sigaction(SIGCHLD, &theirs, NULL);
    if (*code == PAM_SUCCESS && (done != pid || pid <= 0))
        *code = PAM_SYSTEM_ERR;
    return *code == PAM_SUCCESS && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Say why ssh failed, if the server has not. Returns the PAM code of that. */
static int failed(struct talk *t, int status)
{
    char text[512];

    if (status == NOT_STARTED) {
        tell(t, PAM_ERROR_MSG, "This machine has no " SSH ", so the server can't be asked; its image needs openssh-client.");
        return PAM_AUTHINFO_UNAVAIL;
    }
    /* Before the first prompt nothing but ssh has spoken, and that is for the administrator. */
    show(t, t->prompts ? PAM_ERROR_MSG : 0);
    if (t->prompts && t->spoke)
        return t->expired ? PAM_ACCT_EXPIRED : PAM_PERM_DENIED;
    if (t->refused)
        return PAM_AUTH_ERR;
    if (t->stranger)
        snprintf(text, sizeof text, "The login server's key is not the one that this machine was booted with; "
                 "restart this machine, or tell the administrator.");
    else if (!t->prompts)
        snprintf(text, sizeof text, "The login server can't be reached%s%s; try again later, or tell the administrator.",
                 t->reason[0] ? ": " : "", t->reason);
    else if (t->closed)
        snprintf(text, sizeof text, "The login server ended the connection; try again.");
    else {
        tell(t, PAM_ERROR_MSG, "The server does not let you in; ask the administrator why.");
        return PAM_PERM_DENIED;
    }
    tell(t, PAM_ERROR_MSG, text);
    return PAM_AUTHINFO_UNAVAIL;
}

/* Have the server judge the person: only that, or with a master whose socket is `socket`. Returns a PAM code. */
static int judge(struct talk *t, const char *socket, int port)
{
    char config[256], number[16];
    const char *argv[20] = {SSH, "-F", config, "-l", t->user, "-o", "NumberOfPasswordPrompts=1", "-S", socket ? socket : "none"};
    int n = 9, code, status;

    if (path(config, sizeof config, t, "ssh_config") < 0 || euidaccess(config, R_OK) < 0) {
        tell(t, PAM_ERROR_MSG, "This machine does not know its login server yet; try again in a moment.");
        return PAM_AUTHINFO_UNAVAIL;
    }
    if (port) {
        snprintf(number, sizeof number, "%d", port);
        argv[n++] = "-p";
        argv[n++] = number;
    }
    if (socket) {
        argv[n++] = "-M";
        argv[n++] = "-f";
        argv[n++] = "-N";
        argv[n++] = HOST;
    } else {
        /* Else a connection that is there already would say that any password is right. */
        argv[n++] = "-o";
        argv[n++] = "ControlMaster=no";
        argv[n++] = "-s";
        argv[n++] = HOST;
        argv[n++] = "sftp";
    }
    t->password = t->old = t->last = NULL;
    status = run(t, argv, socket && t->known ? t->known->pw_uid : 0, socket && t->known ? t->known->pw_gid : 0, 1, -1, &code);
    if (code == PAM_SUCCESS && status != 0)
        code = failed(t, status);
    else if (code == PAM_SUCCESS)
        show(t, PAM_TEXT_INFO);
    wipe(&t->last);
    return code;
}

/* Run `home up` or `home down`; what it prints is for the person. Returns its exit status. */
static int home(struct talk *t, const char *verb)
{
    char script[256], *rest = t->lines, *line;
    const char *argv[] = {script, verb, t->user, NULL};
    int in[2], code, status = -1;

    if (path(script, sizeof script, t, "home") == 0 && ends(in, 0) == 0) {
        /* A pipe holds more than all of this, so nobody has to read meanwhile. */
        if (write(in[1], t->facts, strlen(t->facts)) < 0)
            pam_syslog(t->pamh, LOG_ERR, "home %s: %m", verb);
        fcntl(in[0], F_SETFL, 0);
        shut(&in[1]);
        status = run(t, argv, 0, 0, 0, in[0], &code);
        shut(&in[0]);
    }
    while ((line = strsep(&rest, "\n")))
        if (*line)
            tell(t, status ? PAM_ERROR_MSG : PAM_TEXT_INFO, line);
    t->lines[0] = 0;
    return status;
}

/* What holds a home while somebody is logged in: a shared lock, which also ends with the process. */
struct hold {
    int fd, in;                /* in: whether somebody got in, so that there is a home to take away */
    char lock[256], dir[256], user[256];
};

/* Let go; whoever is the last one has the home taken away. Also for a login that got no farther than the home. */
static void let_go(pam_handle_t *pamh, void *data, int error)
{
    struct hold *held = data;
    int last = open(held->lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct talk *t = calloc(1, sizeof *t);

    (void)error;
    close(held->fd);
    if (t && last >= 0 && held->in && geteuid() == 0 && flock(last, LOCK_EX | LOCK_NB) == 0) {
        *t = (struct talk){.pamh = pamh, .flags = PAM_SILENT, .user = held->user, .dir = held->dir};
        home(t, "down");
    }
    free(t);
    shut(&last);
    free(held);
}

static char *name_of_hold(char name[32], uid_t uid)
{
    snprintf(name, 32, "ltspd-%u", uid);
    return name;
}

/* Hold the home of that number, until the session is closed or the caller ends its use of PAM. */
static void hold(struct talk *t, uid_t uid, int in)
{
    char name[32], file[32];
    const void *before;
    struct hold *held;

    name_of_hold(name, uid);
    snprintf(file, sizeof file, "users/%u.lock", uid);
    if (pam_get_data(t->pamh, name, &before) == PAM_SUCCESS) {
        held = (struct hold *)before;
        held->in |= in;
        return;
    }
    if (!(held = calloc(1, sizeof *held)))
        return;
    held->in = in;
    snprintf(held->dir, sizeof held->dir, "%s", t->dir);
    snprintf(held->user, sizeof held->user, "%s", t->user);
    held->fd = -1;
    if (path(held->lock, sizeof held->lock, t, file) == 0)
        held->fd = high(open(held->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    /* Whoever takes the home away has all of the lock meanwhile. */
    while (held->fd >= 0 && flock(held->fd, LOCK_SH) < 0 && errno == EINTR)
        ;
    if (held->fd < 0 || pam_set_data(t->pamh, name, held, let_go) != PAM_SUCCESS)
        free(held);
}

enum { LOCAL, SERVER, UNKNOWN };

/* Whose account this is: of this client's image, the server's, or one that the client does not know. */
static int whose(struct talk *t, pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    char name[256], line[512], wanted[300];
    const char *user = NULL;
    FILE *accounts;
    int found = LOCAL;

    memset(t, 0, sizeof *t);
    t->pamh = pamh;
    t->flags = flags;
    t->dir = "/run/ltsp/login";
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "dir=", 4))
            t->dir = argv[i] + 4;
    if (pam_get_user(pamh, &user, NULL) != PAM_SUCCESS || !user || !*user || *user == '-' || strlen(user) > 255 ||
        strpbrk(user, " \t\n\r:/\"'`;&<>|(){}"))
        return LOCAL;
    t->user = user;
    t->known = pam_modutil_getpwnam(pamh, user);
    if (!t->known)
        return UNKNOWN;
    if (t->known->pw_uid < FIRST_UID || t->known->pw_uid == NOBODY)
        return LOCAL;
    snprintf(wanted, sizeof wanted, "%s:%u", user, t->known->pw_uid);
    accounts = path(name, sizeof name, t, "accounts") < 0 ? NULL : fopen(name, "re");
    while (accounts && found == LOCAL && fgets(line, sizeof line, accounts)) {
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, wanted))
            found = SERVER;
    }
    if (accounts)
        fclose(accounts);
    return found;
}

/* Whether something is mounted at the home. Asks no server: that might not answer. */
static int mounted(const char *directory)
{
    struct statx about;

    return statx(AT_FDCWD, directory, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &about) == 0 &&
           about.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static int listens(const char *socket_name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), answers;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_name);
    answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    shut(&fd);
    return answers;
}

/* The place of a user's master. Returns -1 if it can't be had. */
static int place(struct talk *t, char *socket_name, size_t size, uid_t uid, gid_t gid)
{
    char users[256], file[32];

    snprintf(file, sizeof file, "users/%u", uid);
    if (path(users, sizeof users, t, "users") < 0 || (mkdir(users, 0711) < 0 && errno != EEXIST) ||
        path(users, sizeof users, t, file) < 0)
        return -1;
    if (mkdir(users, 0700) == 0 ? lchown(users, uid, gid) < 0 : errno != EEXIST)
        return -1;
    return snprintf(socket_name, size, "%s/master", users) < (int)size ? 0 : -1;
}

/* The numbers that the server told of an account that this client does not know. Returns -1 if it has not. */
static int told(const struct talk *t, uid_t *uid, gid_t *gid)
{
    char start[300];
    const char *line;
    unsigned numbers[2];

    snprintf(start, sizeof start, "ltspd-passwd: %s:x:", t->user);
    line = strstr(t->facts, start);
    if (!line || sscanf(line + strlen(start), "%u:%u:", &numbers[0], &numbers[1]) != 2 || numbers[0] < FIRST_UID ||
        numbers[0] == NOBODY)
        return -1;
    *uid = numbers[0];
    *gid = numbers[1];
    return 0;
}

/* Bring the home of somebody whose password was right. `begun` is the socket of a master that was begun for that. */
static int bring(struct talk *t, const char *begun)
{
    char socket_name[108];
    const char *argv[] = {SSH, "-F", "/dev/null", "-S", socket_name, "-O", "exit", HOST, NULL};
    uid_t uid = t->known ? t->known->pw_uid : 0;
    gid_t gid = t->known ? t->known->pw_gid : 0;
    int code, up;

    snprintf(socket_name, sizeof socket_name, "%s", begun);
    up = t->known || (told(t, &uid, &gid) == 0 && place(t, socket_name, sizeof socket_name, uid, gid) == 0 &&
                      rename(begun, socket_name) == 0);
    if (!up)
        tell(t, PAM_ERROR_MSG, "The server has not said which account you are; tell the administrator.");
    else if (home(t, "up") == 0) {
        hold(t, uid, 1);
        return PAM_SUCCESS;
    }
    if (!t->known && !up)
        snprintf(socket_name, sizeof socket_name, "%s", begun);
    run(t, argv, 0, 0, 0, -1, &code);
    t->lines[0] = 0;
    return PAM_CRED_INSUFFICIENT;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    int account = whose(&t, pamh, flags, argc, argv), code, wanted;
    char socket_name[108] = "", script[256];
    const void *service = NULL, *preset = NULL;

    if (account == LOCAL)
        return PAM_IGNORE;
    pam_get_item(pamh, PAM_SERVICE, &service);
    pam_get_item(pamh, PAM_AUTHTOK, &preset);
    t.preset = preset;
    /* polkit asks for an administrator's password, and gives no session. */
    wanted = geteuid() == 0 && (!service || strcmp(service, "polkit-1")) && path(script, sizeof script, &t, "home") == 0 &&
             euidaccess(script, X_OK) == 0;
    if (wanted && t.known) {
        if (place(&t, socket_name, sizeof socket_name, t.known->pw_uid, t.known->pw_gid) < 0)
            return PAM_SYSTEM_ERR;
        hold(&t, t.known->pw_uid, 0);
        wanted = !mounted(t.known->pw_dir);
    } else if (wanted) {
        snprintf(script, sizeof script, "users/new.%d", (int)getpid());
        if (place(&t, socket_name, sizeof socket_name, 0, 0) < 0 || path(socket_name, sizeof socket_name, &t, script) < 0)
            return PAM_SYSTEM_ERR;
    }
    if (wanted && !listens(socket_name)) {
        unlink(socket_name);
        code = judge(&t, socket_name, 0);
    } else {
        code = judge(&t, NULL, 0);
    }
    if (code == PAM_SUCCESS && wanted)
        code = bring(&t, socket_name);
    if (code == PAM_SUCCESS && t.password)
        pam_set_item(pamh, PAM_AUTHTOK, t.password);
    wipe(&t.password);
    wipe(&t.old);
    return code;
}

int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    int port = 0, code;
    char name[256];
    FILE *file;

    if (whose(&t, pamh, flags, argc, argv) != SERVER)
        return PAM_IGNORE;
    if (flags & PAM_PRELIM_CHECK)
        return PAM_SUCCESS;
    file = path(name, sizeof name, &t, "port") < 0 ? NULL : fopen(name, "re");
    if (file && fscanf(file, "%5d", &port) != 1)
        port = 0;
    if (file)
        fclose(file);
    if (!port) {
        tell(&t, PAM_ERROR_MSG, "This machine does not know where the server changes passwords.");
        return PAM_AUTHTOK_ERR;
    }
    code = judge(&t, NULL, port + 1);
    if (code == PAM_SUCCESS && t.password)
        pam_set_item(pamh, PAM_AUTHTOK, t.password);
    if (code == PAM_SUCCESS && t.old)
        pam_set_item(pamh, PAM_OLDAUTHTOK, t.old);
    wipe(&t.password);
    wipe(&t.old);
    return code == PAM_PERM_DENIED ? PAM_AUTHTOK_ERR : code;
}

/* An answer that depends on nothing but whose account it is. */
static int simply(pam_handle_t *pamh, int argc, const char **argv)
{
    struct talk t;

    return whose(&t, pamh, PAM_SILENT, argc, argv) == SERVER ? PAM_SUCCESS : PAM_IGNORE;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return simply(pamh, argc, argv);
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return simply(pamh, argc, argv);
}

/* A user's service manager outlives the sessions, so it does not hold the home. */
static int of_session(struct talk *t, pam_handle_t *pamh, int argc, const char **argv)
{
    const void *service = NULL;

    pam_get_item(pamh, PAM_SERVICE, &service);
    return geteuid() == 0 && (!service || strcmp(service, "systemd-user")) && whose(t, pamh, PAM_SILENT, argc, argv) == SERVER;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;

    (void)flags;
    if (!of_session(&t, pamh, argc, argv))
        return PAM_IGNORE;
    hold(&t, t.known->pw_uid, 1);
    return PAM_SUCCESS;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct talk t;
    char name[32];

    (void)flags;
    if (!of_session(&t, pamh, argc, argv))
        return PAM_IGNORE;
    /* Whatever replaces it, the lock is let go. */
    return pam_set_data(pamh, name_of_hold(name, t.known->pw_uid), NULL, NULL);
}

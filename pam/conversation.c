/*
 * The server's conversation: ssh asks on its controlling terminal, which is a pty of ours, and whose ECHO bit tells hidden
 * from visible prompts. The server's messages come on ssh's standard error.
 */
#include "talk.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

/* Milliseconds without output after which we look whether ssh waits for an answer. */
#define QUIET 20
/* ssh's own words are about the connection, except that somebody was refused. */
#define REFUSED ": permission denied \\(|too many authentication failures"
#define CONNECTION "^(connection |received disconnect|disconnected |kex_|ssh|client_loop|timeout, |read from |write |" \
    "mux_|controlsocket |bad packet|banner exchange|warning: perm)"
/* Prompts for what is right only once. */
#define CODE "one.time|otp|oath|code|token|pin"

void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

int matches(const char *words, const char *pattern)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB))
        return 0;
    int found = regexec(&compiled, words, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

void tell(struct talk *t, int style, const char *words)
{
    if (!(t->flags & PAM_SILENT))
        pam_prompt(t->pamh, style, NULL, "%s", words);
}

/*
 * In the child: be that user with nothing else. One capability that allows almost nothing (to keep the machine from
 * sleeping) stays: so the user's other processes can't trace this one, and make it say that a password was right. Not
 * CAP_WAKE_ALARM, which pam_systemd gives to each session since version 254.
 */
static int become(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct keep[2] = {{0, 0, 0}, {0, CAP_TO_MASK(CAP_BLOCK_SUSPEND), CAP_TO_MASK(CAP_BLOCK_SUSPEND)}};
    if (geteuid() != 0)
        return setresgid(getgid(), getgid(), getgid()) || setresuid(getuid(), getuid(), getuid());
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresuid(uid, uid, uid))
        return -1;
    return uid && (syscall(SYS_capset, &head, keep) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_BLOCK_SUSPEND, 0, 0));
}

/* Start a program with nothing of the caller's: signals, descriptors, environment, terminal, directory, rights. */
static pid_t start(const char *const argv[], uid_t uid, gid_t gid, int tty, int in, int out)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &usual, NULL);
    sigprocmask(SIG_SETMASK, &usual.sa_mask, NULL);
    setsid();
    umask(022);
    /* Ours may be among the first three, which the caller may have closed. */
    in = fcntl(in, F_DUPFD, 3);
    out = fcntl(out, F_DUPFD, 3);
    if ((tty >= 0 && ioctl(tty, TIOCSCTTY, 0)) || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir("/"))
        _exit(1);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0)
        for (int fd = sysconf(_SC_OPEN_MAX); fd > 2; fd--)
            close(fd);
    /* When ssh goes to the background, its parent's end hangs the terminal up. What ends it instead is our own end. */
    if (tty >= 0)
        signal(SIGHUP, SIG_IGN);
    if (become(uid, gid) || (tty >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)))
        _exit(1);
    execve(argv[0], (char *const *)argv, environment);
    _exit(NO_PROGRAM);
}

/* Whether the process waits for something. One that does, after it wrote a prompt, waits for the answer. */
static int asleep(pid_t pid)
{
    char name[32], words[256] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    FILE *about = fopen(name, "re");
    if (about && !fgets(words, sizeof words, about))
        words[0] = 0;
    if (about)
        fclose(about);
    const char *state = strrchr(words, ')');
    return !state || !strncmp(state, ") S", 3);
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
    for (char *line; (line = strsep(&lines, "\n"));)
        if (matches(line, "^ltspd-(passwd|groups): ")) {
            if (t->facts.length + strlen(line) + 2 < sizeof t->facts.data)
                t->facts.length += sprintf(t->facts.data + t->facts.length, "%s\n", line);
        } else if (t->prompts && matches(line, REFUSED)) {
            t->refused = 1;
        } else if (*line && (!t->prompts || matches(line, CONNECTION))) {
            t->stranger |= matches(line, "^host key verification failed");
            snprintf(t->reason, sizeof t->reason, "%s", line);
            pam_syslog(t->pamh, LOG_NOTICE, "%s", line);
        } else if (line[strspn(line, " \t")]) {
            t->spoke = 1;
            t->expired |= matches(line, "account has expired");
            tell(t, style, line);
        }
}

void show(struct talk *t, int style)
{
    hear(t, t->output.data, style);
    t->output.length = t->output.data[0] = 0;
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
    while (t->terminal.length && line[t->terminal.length - 1] == '\n')
        line[--t->terminal.length] = 0;
    snprintf(from, sizeof from, "(%s@", t->user);
    if (!strncmp(line, from, strlen(from)) && (next = strstr(line, ") ")))
        line = next + 2;
    /* What ssh says before it first asks is for the log. */
    show(t, PAM_TEXT_INFO);
    t->prompts++;
    if ((next = strrchr(line, '\n'))) {
        *next = 0;
        hear(t, line, PAM_TEXT_INFO);
        line = next + 1;
    }
    if (hidden && t->preset)
        answer = strdup(t->preset);
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
    }
    t->preset = hidden ? NULL : t->preset;
    t->terminal.length = t->spoke = 0;
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

int run(struct talk *t, const char *const argv[], uid_t uid, gid_t gid, struct text *input, int *code)
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
        /* The pty never ends, as we hold its other end, too. The pipe may end before the program, or long after it. */
        struct pollfd from[2] = {{tty[0], POLLIN, 0}, {out[0], POLLIN, 0}};
        int more = poll(from, 2, QUIET) > 0 && (take(&t->terminal, tty[0]) | take(&t->output, out[0]));
        if (from[1].revents == POLLHUP)
            usleep(QUIET * 1000);
        done = waitpid(pid, &status, WNOHANG);
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

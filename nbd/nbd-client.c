/*
 * nbd-client: a layer of a client's root over NBD; reads wait while its server is away.
 *
 *     nbd-client SERVER PORT /dev/nbdN -N EXPORT
 *     nbd-client SERVER PORT /dev/nbdN -W EXPORT
 *     nbd-client --resident DIRECTORY...
 *
 * Connects the device by the kernel's netlink interface and returns when it can be read. A process stays behind: when
 * the connection ends, it makes another one and gives it to the kernel. Meanwhile the kernel lets reads wait, as with
 * NFS. The distributions' nbd-client can't ask for that. Words after EXPORT are ignored: boot initrds of earlier
 * versions pass them.
 *
 * With -W the device can be written, and an encrypted one lies above it, whose name is printed. The first connection
 * asks for EXPORT-new, which the server makes, and later ones for EXPORT, so that nobody gets an empty one for his own.
 *
 * With --resident it prints which files are in memory; a trial of an image needs that (resident.c).
 *
 * Protocols: doc/proto.md of NBD, <linux/nbd-netlink.h>.
 */
#define _GNU_SOURCE
#include "encrypt.h"
#include "resident.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest silence of a server while a connection is made, in seconds. */
#define SILENCE 10
/* Seconds after which the kernel sends an unanswered request again, over a new connection; its own default. */
#define REQUEST_TIMEOUT 30
/* Seconds that reads wait for another connection. The kernel counts ticks in a long: 24 days at most on 32 bits. */
#define DEAD_TIMEOUT (7 * 24 * 3600)
/* A layer's digest has 64 characters. */
#define LONGEST_NAME 128
/* More replies than any server sends about an export. */
#define MOST_REPLIES 32
/* doc/proto.md: the fixed newstyle negotiation. */
#define REPLY_MAGIC 0x3e889045565a9ULL
enum { OPT_GO = 7, REP_ACK = 1, REP_INFO = 3, INFO_EXPORT = 0 };
#define REP_ERROR (1U << 31)
#define REP_ERR_UNKNOWN (REP_ERROR + 6)

/* A server's description of an export. */
struct export {
    uint64_t size;
    uint16_t flags;
};

struct message {
    struct nlmsghdr head;
    struct genlmsghdr command;
    char attributes[256];
};
#define MESSAGE(type, command) \
    {{NLMSG_LENGTH(GENL_HDRLEN), type, NLM_F_REQUEST | NLM_F_ACK, 0, 0}, {command, 1, 0}, ""}

static struct sockaddr_in server = {.sin_family = AF_INET};
static const char *device, *name;
static uint32_t number_of_device;
static uint16_t family;
static int netlink, writable;

/* Priority and program in a line of the kernel's log, which is standard error in the background. */
static const char *prefix = "";

/* Print a reason, unless it is the last one again. Returns -1. */
static int say(const char *what, const char *why)
{
    static const char *last;
    char text[256];
    int length = snprintf(text, sizeof text, "%s%s: %s%s%s\n", prefix, device, what, why ? ": " : "", why ? why : "");

    /* Not with dprintf(), which seeks first: the kernel's log can't. */
    if ((!why || !last || strcmp(why, last)) && length < (int)sizeof text && write(STDERR_FILENO, text, length) < 0)
        return -1;
    last = why;
    return -1;
}

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *at++;
    return value;
}

static int receive(int line, unsigned char *data, size_t size)
{
    ssize_t got = size ? recv(line, data, size, MSG_WAITALL) : 0;
    const char *why = got < 0 && errno == EAGAIN ? "no answer" : got < 0 ? strerror(errno) : "it hung up";

    return got == (ssize_t)size ? 0 : say("the server", why);
}

/* Ask for the export and fill in its description. No valid reply is longer than the buffer. */
static int negotiate(int line, struct export *export)
{
    /* Client flags (fixed newstyle); the option and its length; the length and the name; no information requests. */
    unsigned char data[1024], request[24 + LONGEST_NAME + 2] = "\0\0\0\1IHAVEOPT";
    size_t length = strlen(name), whole = 24 + length + 2;

    request[15] = OPT_GO;
    request[19] = length + 6;
    request[23] = length;
    memcpy(request + 24, name, length);
    export->size = 0;
    if (receive(line, data, 18))
        return -1;
    if (memcmp(data, "NBDMAGICIHAVEOPT", 16) || !(number(data + 16, 2) & 1))
        return say("the server", "it does not speak NBD's fixed newstyle protocol");
    if (send(line, request, whole, MSG_NOSIGNAL) != (ssize_t)whole)
        return say("the server", strerror(errno));
    for (int count = 0; count < MOST_REPLIES; count++) {
        uint32_t type, size;

        if (receive(line, data, 20))
            return -1;
        type = number(data + 12, 4);
        size = number(data + 16, 4);
        if (number(data, 8) != REPLY_MAGIC || number(data + 8, 4) != OPT_GO || size > sizeof data)
            return say("the server", "its answer is none of NBD's");
        if (receive(line, data, size))
            return -1;
        if (type & REP_ERROR)
            return say("the server", type == REP_ERR_UNKNOWN ? "it does not have this export" : "it refuses");
        if (type == REP_INFO && size >= 12 && number(data, 2) == INFO_EXPORT) {
            export->size = number(data + 2, 8);
            export->flags = number(data + 10, 2);
        }
        if (type == REP_ACK)
            return export->size - 1 < INT64_MAX ? 0 : say("the server", "it does not tell the export's size");
    }
    return say("the server", "it does not come to an end");
}

static void limit(int line, int seconds)
{
    const struct timeval time = {.tv_sec = seconds};

    setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(line, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

/* Return a socket that is ready for requests, or -1. */
static int dial(struct export *export)
{
    int line = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    limit(line, SILENCE);
    if (connect(line, (struct sockaddr *)&server, sizeof server)) {
        say("no connection", errno == EINPROGRESS ? "no answer" : strerror(errno));
    } else if (!negotiate(line, export)) {
        limit(line, 0);
        setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        return line;
    }
    close(line);
    return -1;
}

static void put(struct message *message, int type, const void *data, size_t size)
{
    struct nlattr *attribute = (struct nlattr *)((char *)message + message->head.nlmsg_len);

    attribute->nla_type = type;
    attribute->nla_len = NLA_HDRLEN + size;
    memcpy((char *)attribute + NLA_HDRLEN, data, size);
    message->head.nlmsg_len += NLA_ALIGN(attribute->nla_len);
}

/* Send a command and return the kernel's answer, an errno or 0; keep the family's number if the answer has it. */
static int ask(struct message *message)
{
    struct nlmsghdr answer[512];

    if (send(netlink, message, message->head.nlmsg_len, 0) < 0)
        return errno;
    for (;;) {
        int left = recv(netlink, answer, sizeof answer, 0);

        if (left < 0)
            return errno;
        for (struct nlmsghdr *head = answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            struct nlattr *at = (void *)((char *)NLMSG_DATA(head) + GENL_HDRLEN);

            if (head->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(head))->error;
            while (head->nlmsg_type == GENL_ID_CTRL && (char *)at < (char *)head + head->nlmsg_len) {
                if (at->nla_type == CTRL_ATTR_FAMILY_ID)
                    memcpy(&family, at + 1, sizeof family);
                at = (void *)((char *)at + NLA_ALIGN(at->nla_len));
            }
        }
    }
}

/* Give the kernel a connection: the device's first one, or a replacement for the ended one. */
static int attach(int command, int line, const struct export *export)
{
    const uint64_t timeout = REQUEST_TIMEOUT, dead = DEAD_TIMEOUT, block = 512;
    const uint64_t flags = export->flags | NBD_FLAG_HAS_FLAGS | (writable ? 0 : NBD_FLAG_READ_ONLY);
    const struct {
        struct nlattr item, number;
        uint32_t line;
    } socket = {{sizeof socket, NBD_SOCK_ITEM | NLA_F_NESTED}, {NLA_HDRLEN + sizeof line, NBD_SOCK_FD}, line};
    struct message message = MESSAGE(family, command);

    put(&message, NBD_ATTR_INDEX, &number_of_device, sizeof number_of_device);
    if (command == NBD_CMD_CONNECT) {
        put(&message, NBD_ATTR_SIZE_BYTES, &export->size, sizeof export->size);
        put(&message, NBD_ATTR_BLOCK_SIZE_BYTES, &block, sizeof block);
        put(&message, NBD_ATTR_SERVER_FLAGS, &flags, sizeof flags);
        put(&message, NBD_ATTR_TIMEOUT, &timeout, sizeof timeout);
        put(&message, NBD_ATTR_DEAD_CONN_TIMEOUT, &dead, sizeof dead);
    }
    put(&message, NBD_ATTR_SOCKETS | NLA_F_NESTED, &socket, sizeof socket);
    return ask(&message);
}

/* Become a process that no signal ends, and that needs neither the root, whose reads may wait, nor free memory. */
static void persist(char *mark)
{
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), adjust = open("/proc/self/oom_score_adj", O_WRONLY);

    setsid();
    /* systemd does not end a process with this mark, neither when it changes to the root nor at shutdown. */
    *mark = '@';
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
    if (adjust >= 0 && write(adjust, "-1000", 5) >= 0)
        close(adjust);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    for (int number = 0; number <= STDERR_FILENO; number++)
        dup2(log, number);
    prefix = "<5>ltsp: ";
}

/* Whenever the connection ends, make another one. Returns only when the device was disconnected. */
static void watch(int line, const struct export *export)
{
    for (;;) {
        struct pollfd ended = {.fd = line, .events = POLLRDHUP};
        struct export again;
        int error = EAGAIN;

        if (poll(&ended, 1, -1) <= 0)
            continue;
        say("the connection ended, reads wait for another one", NULL);
        shutdown(line, SHUT_RDWR);
        close(line);
        for (unsigned int pause = 1; error; pause += pause < 10) {
            /* The kernel must notice the end, too, and clients must not flood a server that starts. */
            sleep(pause);
            if ((line = dial(&again)) < 0)
                continue;
            /* A layer's name is a digest, so another size means another file. */
            error = again.size == export->size ? attach(NBD_CMD_RECONFIGURE, line, export) : ESTALE;
            if (error)
                close(line);
            if (error == EINVAL)
                return;
        }
        say("connected again", NULL);
    }
}

int main(int argc, char **argv)
{
    struct export export;
    struct message message = MESSAGE(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    char first[LONGEST_NAME + 1];
    struct stat below;
    int line, error, above;

    if (argc > 2 && !strcmp(argv[1], "--resident"))
        return resident(argv + 2);
    if (argc < 6 || strncmp(argv[3], "/dev/nbd", 8) || (strcmp(argv[4], "-N") && strcmp(argv[4], "-W")) ||
        strlen(argv[5]) + strlen("-new") > LONGEST_NAME || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fputs("usage: nbd-client IPV4-ADDRESS PORT /dev/nbdN -N|-W EXPORT\n", stderr);
        return 2;
    }
    writable = argv[4][1] == 'W';
    server.sin_port = htons(atoi(argv[2]));
    device = argv[3] + strlen("/dev/");
    number_of_device = atoi(argv[3] + strlen("/dev/nbd"));
    snprintf(first, sizeof first, "%s%s", argv[5], writable ? "-new" : "");
    name = first;
    if ((line = dial(&export)) < 0)
        return 1;
    netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    put(&message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof NBD_GENL_FAMILY_NAME);
    if ((error = ask(&message)))
        return say("this kernel has no NBD", strerror(error)), 1;
    if ((error = attach(NBD_CMD_CONNECT, line, &export)))
        return say("the kernel refuses the connection", strerror(error)), 1;
    name = argv[5];
    if (writable) {
        above = stat(argv[3], &below) ? -errno : encrypt("ltsp-swap", below.st_rdev, export.size);
        if (above < 0) {
            message = (struct message)MESSAGE(family, NBD_CMD_DISCONNECT);
            put(&message, NBD_ATTR_INDEX, &number_of_device, sizeof number_of_device);
            ask(&message);
            return say("it can't be encrypted", strerror(-above)), 1;
        }
        printf("/dev/dm-%d\n", above);
        fflush(stdout);
    }
    switch (fork()) {
    case -1:
        return say("nobody can look after the connection", strerror(errno)), 1;
    case 0:
        persist(argv[0]);
        watch(line, &export);
    }
    return 0;
}

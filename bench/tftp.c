/* Many clients that fetch files by TFTP at once, in one process, because a slower program would be measured instead
 * of the server.
 *
 * A line on standard input begins a transfer:
 *     ID DEVICE ADDRESS SERVER TURN ABORT REQUEST
 * DEVICE and ADDRESS are the client's, TURN is its nanoseconds from a block to its acknowledgement, ABORT is 1 for a
 * client that only asks how large the file is, and REQUEST the whole read request in hexadecimal digits. Its end is a
 * line on standard output:
 *     ID ok|refused|silent BYTES RESENT
 *
 * A client repeats what it said last after a quarter of a second, and waits twice as long each time. When that would
 * be more than ten seconds, it gives up. iPXE does so (retry.h: DEFAULT_MIN_TIMEOUT, DEFAULT_MAX_TIMEOUT), and like
 * there the time adapts to how long answers take.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LEAST (SECOND / 4)
#define MOST (10 * SECOND)
#define MANY 4096

enum { READ = 1, DATA = 3, ACK = 4, ERROR = 5, OPTIONS = 6 };

struct transfer {
    char id[32];
    int socket;
    struct sockaddr_in server; /* the port is that of the first answer */
    int answered, abort, turning;
    unsigned short block; /* the last one that came */
    unsigned size;        /* of a full block */
    int last;             /* the last block came */
    long long turn, due, timeout, asked;
    unsigned long long bytes;
    unsigned resent;
    unsigned char request[600];
    size_t length;
};

static struct transfer *transfers[MANY];
static int count, epoll;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Say what is due: the request, or that the last block came. */
static void say(struct transfer *of) {
    unsigned char ack[4] = {0, ACK, of->block >> 8, of->block & 255};
    const void *said = of->answered ? (const void *)ack : of->request;
    size_t length = of->answered ? sizeof ack : of->length;
    /* What can't be sent is as lost as what got lost. */
    sendto(of->socket, said, length, 0, (struct sockaddr *)&of->server, sizeof of->server);
    of->asked = now();
    of->turning = 0;
    of->due = of->asked + of->timeout;
}

static void finish(int number, const char *how) {
    struct transfer *of = transfers[number];
    printf("%s %s %llu %u\n", of->id, how, of->bytes, of->resent);
    fflush(stdout);
    close(of->socket);
    free(of);
    transfers[number] = transfers[--count];
}

/* Begin what a line asks for. */
static void begin(char *line) {
    struct transfer *of = calloc(1, sizeof *of);
    char device[IFNAMSIZ], address[16], server[16], request[1201];
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN};
    if (!of || count == MANY)
        fail("tftp: too many");
    if (sscanf(line, "%31s %15s %15s %15s %lld %d %1200s", of->id, device, address, server, &of->turn, &of->abort,
               request) != 7) {
        fprintf(stderr, "tftp: what is %s\n", line);
        exit(1);
    }
    for (; sscanf(request + 2 * of->length, "%2hhx", of->request + of->length) == 1; of->length++)
        ;
    of->server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(69)};
    inet_pton(AF_INET, server, &of->server.sin_addr);
    inet_pton(AF_INET, address, &own.sin_addr);
    of->size = 512;
    of->timeout = LEAST;
    of->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (of->socket < 0 || setsockopt(of->socket, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)) < 0 ||
        bind(of->socket, (struct sockaddr *)&own, sizeof own) < 0)
        fail(address);
    event.data.ptr = of;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, of->socket, &event) < 0)
        fail("tftp: epoll");
    transfers[count++] = of;
    say(of);
}

/* Take one packet; return how the transfer ended, or NULL. */
static const char *take(struct transfer *of, const unsigned char *packet, ssize_t length, unsigned short port) {
    int kind = length < 4 ? 0 : packet[0] << 8 | packet[1];
    unsigned short block = packet[2] << 8 | packet[3];
    long long taken = now() - of->asked;
    if (kind == ERROR)
        return "refused";
    if (kind != DATA && kind != OPTIONS)
        return NULL;
    of->server.sin_port = port;
    of->answered = 1;
    if (of->abort) {
        static const unsigned char enough[] = "\0\5\0\0TFTP Aborted";
        sendto(of->socket, enough, sizeof enough, 0, (struct sockaddr *)&of->server, sizeof of->server);
        return "ok";
    }
    if (kind == OPTIONS) {
        const char *at = (const char *)packet + 2, *end = (const char *)packet + length;
        while (at < end && memchr(at, 0, end - at)) {
            const char *value = at + strlen(at) + 1;
            if (value >= end || !memchr(value, 0, end - value))
                break;
            if (!strcasecmp(at, "blksize"))
                of->size = atoi(value);
            at = value + strlen(value) + 1;
        }
        of->block = 0;
    } else if (block == (unsigned short)(of->block + 1)) {
        of->block = block;
        of->bytes += length - 4;
        of->last = length - 4 < of->size;
    } else {
        /* An old one again: what it answers got lost, or was late. */
        if (!of->turning)
            say(of);
        return NULL;
    }
    of->timeout = of->timeout - of->timeout / 8 + taken / 2;
    if (of->timeout < LEAST)
        of->timeout = LEAST;
    if (of->last) {
        say(of);
        return "ok";
    }
    of->turning = 1;
    of->due = now() + of->turn;
    return NULL;
}

/* Hear what has come for a transfer; return how it ended, or NULL. */
static const char *hear(struct transfer *of) {
    unsigned char packet[65536];
    struct sockaddr_in sender;
    socklen_t size = sizeof sender;
    const char *end = NULL;
    ssize_t length;
    while (!end && (length = recvfrom(of->socket, packet, sizeof packet, 0, (struct sockaddr *)&sender, &size)) >= 0) {
        if (sender.sin_addr.s_addr != of->server.sin_addr.s_addr)
            continue;
        if (!of->answered || sender.sin_port == of->server.sin_port)
            end = take(of, packet, length, sender.sin_port);
    }
    return end;
}

int main(void) {
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    static char lines[1 << 16];
    size_t held = 0;
    int open = 1;
    prctl(PR_SET_TIMERSLACK, 1);
    epoll = epoll_create1(0);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) < 0)
        fail("tftp: epoll");
    while (open || count) {
        long long next = now() + SECOND, time;
        for (int number = 0; number < count; number++)
            if (transfers[number]->due < next)
                next = transfers[number]->due;
        time = next - now();
        if (time < 0)
            time = 0;
        struct timespec pause = {time / SECOND, time % SECOND};
        int ready = epoll_pwait2(epoll, events, 256, &pause, NULL);
        if (ready < 0 && errno != EINTR)
            fail("tftp: epoll");
        for (int each = 0; each < ready; each++) {
            struct transfer *of = events[each].data.ptr;
            const char *end;
            if (of) {
                end = hear(of);
                for (int number = 0; end && number < count; number++)
                    if (transfers[number] == of) {
                        finish(number, end);
                        break;
                    }
                continue;
            }
            ssize_t got = read(0, lines + held, sizeof lines - held - 1);
            if (got <= 0) {
                epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
                open = 0;
                continue;
            }
            held += got;
            lines[held] = 0;
            char *line = lines, *line_end;
            while ((line_end = strchr(line, '\n'))) {
                *line_end = 0;
                begin(line);
                line = line_end + 1;
            }
            held -= line - lines;
            memmove(lines, line, held);
        }
        time = now();
        for (int number = count - 1; number >= 0; number--) {
            struct transfer *of = transfers[number];
            if (of->due > time)
                continue;
            if (of->turning) {
                say(of);
                continue;
            }
            of->timeout *= 2;
            if (of->timeout > MOST) {
                finish(number, "silent");
                continue;
            }
            of->resent++;
            say(of);
        }
    }
    return 0;
}

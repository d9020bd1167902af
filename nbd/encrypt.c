/*
 * An encrypted device above another one, by a key that nobody knows and that is gone with the machine's memory.
 * Images need no cryptsetup and no dmsetup for it. The kernel's interface: <linux/dm-ioctl.h>; the words of the table:
 * the kernel's Documentation/admin-guide/device-mapper/dm-crypt.rst.
 */
#define _GNU_SOURCE
#include "encrypt.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* AES with two keys of 256 bits, one of which hides where a block lies. */
#define KEY 64

struct request {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char table[512];
};

static int ask(int control, unsigned long command, const char *name, struct request *request)
{
    struct dm_ioctl *head = &request->head;

    memset(head, 0, sizeof *head);
    head->version[0] = DM_VERSION_MAJOR;
    head->data_size = sizeof *request;
    head->data_start = sizeof *head;
    head->target_count = command == DM_TABLE_LOAD;
    /* The kernel wipes its copy of the key. */
    head->flags = DM_SECURE_DATA_FLAG;
    snprintf(head->name, sizeof head->name, "%s", name);
    return ioctl(control, command, request);
}

/* Make the device, of so many bytes; returns the number N of its /dev/dm-N, or a negative errno. */
int encrypt(const char *name, dev_t below, uint64_t size)
{
    struct request request = {.target = {.length = size / 512, .target_type = "crypt"}};
    int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC), error = 0, device = 0;
    unsigned char key[KEY];
    char *at = request.table;

    if (control < 0)
        return -errno;
    if (getrandom(key, sizeof key, 0) != sizeof key)
        error = -EIO;
    at += sprintf(at, "aes-xts-plain64 ");
    for (int each = 0; each < KEY; each++)
        at += sprintf(at, "%02x", key[each]);
    sprintf(at, " 0 %u:%u 0", major(below), minor(below));
    if (!error && ask(control, DM_DEV_CREATE, name, &request))
        error = -errno;
    device = minor(request.head.dev);
    if (!error && (ask(control, DM_TABLE_LOAD, name, &request) || ask(control, DM_DEV_SUSPEND, name, &request))) {
        error = -errno;
        ask(control, DM_DEV_REMOVE, name, &request);
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(&request, sizeof request);
    close(control);
    return error ? error : device;
}

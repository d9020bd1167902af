/*
 * Prints the name of each file below some directories of which a part is in memory, relative to its directory, a line
 * each. With that a trial tells what of its image it has read (client/live/trial.sh). Images may lack fincore.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "resident.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 65536

static size_t skipped;

/* Whether any page of an open file is in memory; a piece at a time, because a file may be larger than we can map. */
static int any(int file, off_t size)
{
    static unsigned char pages[PAGES];
    size_t page = sysconf(_SC_PAGESIZE), length, i;
    off_t at;
    void *map;
    int found = 0;

    for (at = 0; at < size && !found; at += length) {
        length = size - at < (off_t)(PAGES * page) ? (size_t)(size - at) : PAGES * page;
        map = mmap(NULL, length, PROT_READ, MAP_SHARED, file, at);
        if (map == MAP_FAILED)
            return 0;
        if (!mincore(map, length, pages))
            for (i = 0; i < (length + page - 1) / page && !found; i++)
                found = pages[i] & 1;
        munmap(map, length);
    }
    return found;
}

static int look(const char *path, const struct stat *status, int type, struct FTW *where)
{
    int file;

    (void)where;
    if (type != FTW_F || !S_ISREG(status->st_mode) || !status->st_size)
        return 0;
    if ((file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return 0;
    if (any(file, status->st_size))
        puts(path + skipped);
    close(file);
    return 0;
}

int resident(char *const *directories)
{
    for (; *directories; directories++) {
        skipped = strlen(*directories) + 1;
        if (nftw(*directories, look, 16, FTW_PHYS | FTW_MOUNT))
            return 1;
    }
    return fflush(stdout) != 0;
}

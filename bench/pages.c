/*
 * Reads names of files, a line each, and prints for each which pages of it are in memory: the first page of each piece
 * and the one after its last, then the name. Runs on the client of bench/root.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    char *name = NULL;
    size_t room = 0, page = sysconf(_SC_PAGESIZE), pages, from, to;
    ssize_t length;
    struct stat status;
    unsigned char *in;
    void *map;
    int file, found;

    while ((length = getline(&name, &room, stdin)) > 0) {
        name[length - 1] = 0;
        if ((file = open(name, O_RDONLY)) < 0)
            continue;
        map = MAP_FAILED;
        if (!fstat(file, &status) && status.st_size > 0)
            map = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (map == MAP_FAILED)
            continue;
        pages = (status.st_size + page - 1) / page;
        in = malloc(pages);
        if (in && !mincore(map, status.st_size, in)) {
            for (found = 0, from = 0; from < pages; from = to) {
                while (from < pages && !(in[from] & 1))
                    from++;
                for (to = from; to < pages && in[to] & 1; to++)
                    ;
                if (to > from)
                    printf("%s%zu-%zu", found++ ? "," : "", from, to);
            }
            if (found)
                printf(" %s\n", name);
        }
        free(in);
        munmap(map, status.st_size);
    }
    return 0;
}

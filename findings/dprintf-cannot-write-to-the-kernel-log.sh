#!/bin/sh
# glibc 2.36 (Debian 12): dprintf() can't write to /dev/kmsg; write() and a FILE from fdopen() can.
#
# The kernel's log answers lseek(fd, 0, SEEK_CUR) with EINVAL and not with ESPIPE, as a pipe or a terminal does.
# dprintf() then returns -1 with that errno and writes nothing. A program of an early boot that reports by
# dprintf(STDERR_FILENO, ...) is silent as soon as its standard error is the kernel's log.
#
# Seen on Debian 12, 2026-11-29 (as root):
#   lseek: EINVAL
#   dprintf: EINVAL
#   fprintf, fflush: ok
#   write: ok
set -eu
if [ "$(id -u)" != 0 ] || [ ! -c /dev/kmsg ]; then
    echo "this needs root and /dev/kmsg"
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download libc6=2.36-9+deb12u14 >/dev/null 2>&1
dpkg-deb -x libc6_*.deb .
cat >ask.c <<'C'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void tell(const char *what, int fine)
{
    printf("%s: %s\n", what, fine ? "ok" : errno == EINVAL ? "EINVAL" : strerror(errno));
}

int main(void)
{
    int log = open("/dev/kmsg", O_WRONLY);
    FILE *file = fdopen(log, "w");

    /* Priority 7: debugging. */
    tell("lseek", lseek(log, 0, SEEK_CUR) >= 0);
    tell("dprintf", dprintf(log, "<7>a line by dprintf\n") > 0);
    tell("fprintf, fflush", fprintf(file, "<7>a line by fprintf\n") > 0 && !fflush(file));
    tell("write", write(log, "<7>a line by write\n", 19) == 19);
    return 0;
}
C
gcc -o ask ask.c
lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path lib/x86_64-linux-gnu ./ask | tee seen
cat >expected <<'END'
lseek: EINVAL
dprintf: EINVAL
fprintf, fflush: ok
write: ok
END
diff -u expected seen && echo "as stated above"

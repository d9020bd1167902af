/* An encrypted device above another one (encrypt.c). */
#include <stdint.h>
#include <sys/types.h>

int encrypt(const char *name, dev_t below, uint64_t size);

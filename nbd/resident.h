/* Which files have a part in memory (resident.c). */
int resident(char *const *directories);

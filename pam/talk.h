/* What the module's two parts share: pam_ltspd.c is what PAM calls, conversation.c lets the server ask the person. */
#define _GNU_SOURCE
/* All else is hidden, so that no program's own `run` or `show` can take the place of ours. */
#pragma GCC visibility push(default)
#include <security/pam_modules.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#pragma GCC visibility pop
#include <sys/types.h>

/* Exit status of `run` for which there is no program, as of a shell. */
#define NO_PROGRAM 127

/* What was read so far; `skip` more bytes are no part of it. */
struct text {
    char data[8192];
    size_t length, skip;
};

/* One call of the module: who, where, and what was said so far. */
struct talk {
    pam_handle_t *pamh;
    int flags, prompts, refused, spoke, expired, stranger;
    const char *user, *dir, *preset;
    struct passwd *known;               /* NULL: this client does not know the name */
    struct text terminal, output;       /* since the last answer; not yet handed on */
    struct text facts;                  /* lines for `home up`, which are not for the person */
    char reason[256];                   /* the last thing that ssh itself said */
    char *password, *old, *last;        /* what was right, what was right before a change, the last hidden answer */
};

/* Overwrite and free. */
void wipe(char **secret);
/* Whether words have what an extended regular expression describes, in capital letters or not. */
int matches(const char *words, const char *pattern);
/* Show the person a line; `style` is PAM_TEXT_INFO or PAM_ERROR_MSG. */
void tell(struct talk *t, int style, const char *words);
/* Hand on what was said beside the terminal. */
void show(struct talk *t, int style);
/*
 * Run a program to its end, with `input` on standard input. Without one it has a terminal, and its prompts are put to
 * the person. Returns its exit status; -1 if it has none, and then `code` is a PAM code.
 */
int run(struct talk *t, const char *const argv[], uid_t uid, gid_t gid, struct text *input, int *code);

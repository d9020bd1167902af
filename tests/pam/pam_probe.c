/*
 * A PAM module for tests, on the server and on the client:
 *     ask=on|off|info|error text=WORDS want=ANSWER    put a prompt (_ is a space, | a new line); refuse another answer
 *     repeat=NUMBER                                   how often these words come
 *     authtok=FILE                                    write PAM_AUTHTOK and PAM_OLDAUTHTOK to a file
 *     preset=PASSWORD                                 set PAM_AUTHTOK
 *     user=NAME                                       only for that user
 *     return=NUMBER                                   that PAM code at last
 */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int probe(pam_handle_t *pamh, int argc, const char **argv)
{
    char *answer = NULL;
    const char *user = "", *wanted = NULL;
    char text[1024] = "", all[16384] = "";
    int code = PAM_SUCCESS, style = 0, repeat = 1;

    pam_get_user(pamh, &user, NULL);
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=') + 1;
        const void *now = NULL, *old = NULL;

        if (!strncmp(argv[i], "user=", 5) && strcmp(value, user))
            return PAM_IGNORE;
        if (!strncmp(argv[i], "ask=", 4))
            style = !strcmp(value, "on") ? PAM_PROMPT_ECHO_ON : !strcmp(value, "off") ? PAM_PROMPT_ECHO_OFF :
                    !strcmp(value, "info") ? PAM_TEXT_INFO : PAM_ERROR_MSG;
        if (!strncmp(argv[i], "text=", 5))
            snprintf(text, sizeof text, "%s", value);
        if (!strncmp(argv[i], "repeat=", 7))
            repeat = atoi(value);
        if (!strncmp(argv[i], "want=", 5))
            wanted = value;
        if (!strncmp(argv[i], "return=", 7))
            code = atoi(value);
        if (!strncmp(argv[i], "preset=", 7))
            pam_set_item(pamh, PAM_AUTHTOK, value);
        if (!strncmp(argv[i], "authtok=", 8)) {
            FILE *file = fopen(value, "w");

            pam_get_item(pamh, PAM_AUTHTOK, &now);
            pam_get_item(pamh, PAM_OLDAUTHTOK, &old);
            fprintf(file, "%s\n%s\n", now ? (const char *)now : "", old ? (const char *)old : "");
            fclose(file);
        }
    }
    for (char *at = text; *at; at++)
        *at = *at == '_' ? ' ' : *at == '|' ? '\n' : *at;
    for (int i = 0; i < repeat && strlen(all) + strlen(text) < sizeof all; i++)
        strcat(all, text);
    if (style && pam_prompt(pamh, style, &answer, "%s", all) != PAM_SUCCESS)
        return PAM_AUTH_ERR;
    if (wanted && (!answer || strcmp(answer, wanted)))
        code = PAM_AUTH_ERR;
    free(answer);
    return code;
}

#define SERVES(name) \
    int name(pam_handle_t *pamh, int flags, int argc, const char **argv) \
    { \
        return flags & PAM_PRELIM_CHECK ? PAM_SUCCESS : probe(pamh, argc, argv); \
    }
SERVES(pam_sm_authenticate)
SERVES(pam_sm_acct_mgmt)
SERVES(pam_sm_chauthtok)
SERVES(pam_sm_open_session)
SERVES(pam_sm_close_session)

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}

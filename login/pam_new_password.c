/*
 * pam_new_password: a PAM module whose account phase says that a new password is needed now, so that whoever runs the
 * conversation asks for one (/etc/pam.d/ltspd-login).
 */
#include <stddef.h>
#include <security/pam_modules.h>

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    static int expired = 1;

    (void)flags, (void)argc, (void)argv;
    /* pam_sss asks root for no old password, and then refuses, but for one that it has noted as expired itself. */
    pam_set_data(pamh, "pam_sss:password_expired_flag", &expired, NULL);
    return PAM_NEW_AUTHTOK_REQD;
}

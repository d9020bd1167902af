"""Logins that a server judges: the PAM module with real sshd, PAM stacks and programs that ask people."""

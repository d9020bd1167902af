"""The Debian packages: built, installed on fresh machines with a real systemd, upgraded, purged."""

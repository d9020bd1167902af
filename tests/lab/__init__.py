"""The lab: a LAN of namespaces, a server with a real systemd, and machines that boot from it."""

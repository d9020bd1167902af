"""The product on a real server (systemd, D-Bus, polkit) in namespaces, without clients."""

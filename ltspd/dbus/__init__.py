"""Speaking D-Bus to anybody: the wire format, connections, callers, systemd's own interface."""

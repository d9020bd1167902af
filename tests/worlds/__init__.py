"""What tests stand in: trees, stores, configurations, a private bus, a daemon, stand-ins of programs."""

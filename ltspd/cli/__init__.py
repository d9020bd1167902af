"""``ltspctl``: speaks D-Bus only, and knows nothing of the daemon's insides."""

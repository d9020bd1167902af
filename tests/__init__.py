"""Everything that proves ltspd right; nothing here is installed."""

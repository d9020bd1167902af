"""The process: what wakes a pass, what a pass does, what the bus offers, and its life under systemd."""

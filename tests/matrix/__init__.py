"""Clients boot from every kind of disk: half an hour, which is why ./check does it only when asked."""

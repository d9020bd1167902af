"""Clients show sessions that run elsewhere, in place of a login (SESSION)."""

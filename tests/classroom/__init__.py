"""Clients of a classroom: its teacher's tools, and several people at one machine."""

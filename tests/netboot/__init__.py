"""Machines that boot over the lab's LAN."""

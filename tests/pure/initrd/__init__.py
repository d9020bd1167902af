"""Initrds as far as they are words and bytes."""

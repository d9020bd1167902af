"""Disk images as sources: made here, opened, attacked."""

"""Tests against a private message bus."""

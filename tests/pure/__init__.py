"""Tests that need only Python, pytest and hypothesis: of what decides, of the laws and of the pages."""

"""Clients that boot by other ways than iPXE: ./check firmware."""

"""Clients that boot by other ways than iPXE, or choose in menus: ./check firmware."""

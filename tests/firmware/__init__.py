"""Clients that boot by other ways than iPXE, choose in menus, or swap to the server: ./check firmware."""

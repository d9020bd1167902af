"""What a booted client does while it runs: homes, swap, identity, live changes, orders."""

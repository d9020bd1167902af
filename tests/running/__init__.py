"""What a booted client does while it runs: homes, identity, live changes, orders."""

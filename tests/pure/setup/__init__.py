"""Set-ups of the server's cards: what decides."""

"""Set-ups of cards on each release, with each program that has cards."""

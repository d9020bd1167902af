"""What the next releases of Debian do with what we write: not part of CI, they change under our feet."""

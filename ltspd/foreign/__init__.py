"""Names, files and kinds of a root that is not this machine's own, without trusting it."""

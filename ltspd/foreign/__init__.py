"""Names and files in a root that is not this machine's own and is not trusted."""

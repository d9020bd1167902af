"""People log in on clients: at consoles and greeters, with the accounts and homes of the server."""

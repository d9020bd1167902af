"""People work at the desktops of clients: greeters, sessions, and whatever asks for passwords in them."""

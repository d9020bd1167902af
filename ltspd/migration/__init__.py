"""What an earlier LTSP left on the server: found, told, moved aside and put back."""

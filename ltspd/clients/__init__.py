"""What a client is: how what it says of itself must look, and what is known of each."""

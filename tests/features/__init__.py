"""What the features of a client do, without a client."""

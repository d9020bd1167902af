"""Set-ups with one and two cards on real servers, each with the program that has its cards."""

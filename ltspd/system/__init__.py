"""What ltspd needs of the operating system: programs, threads, files, the journal. It knows no subject."""

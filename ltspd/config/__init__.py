"""ltsp.conf: text to Document to effective values for one host. Pure: no files, no processes, no bus."""

"""The kernel's own NFS server, on machines of Debian 12 and 13 whose root is not the lab's kernel's."""

"""Leases that one DHCP server of ours takes over from another, so that no address is given twice."""

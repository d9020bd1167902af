"""Parameters that the scripts of a client read; the server only checks them. Pure.

A script that declares one in its first lines takes its row from here; the last one takes this module. What
the server reads as well (DNS_SERVER, SEARCH_DOMAIN) stays declared where the server uses it.
"""

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import FLAG, HOSTNAME, LINE, TEXT

NAME = Parameter("HOSTNAME", HOSTNAME, "ltsp%{IP}", CLIENT, "Host name; may contain %{IP} and %{MAC}")
SERVER = Parameter("SERVER", LINE, "", CLIENT, "Address that the name server stands for on clients")
FSTAB = Parameter("FSTAB_*", TEXT, "", CLIENT, "A line for a client's /etc/fstab")
HOSTS = Parameter("HOSTS_*", TEXT, "", CLIENT, "A line for a client's /etc/hosts")
SHELL = Parameter("DEBUG_SHELL", FLAG, "0", CLIENT, "Open a shell where the boot of a client fails")
TO_RAM = Parameter("IMAGE_TO_RAM", FLAG, "0", CLIENT, "Copy the image to memory")
KEEP = Parameter("KEEP_SYSTEM_SERVICES", TEXT, "", CLIENT, "Services that clients keep although we stop them")
MASK = Parameter("MASK_SYSTEM_SERVICES", TEXT, "", CLIENT, "Services that clients never start")

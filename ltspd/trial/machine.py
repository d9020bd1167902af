"""The machine that a generation is tried out in: its parts, its network, its kernel's command line. Pure.

Its network is inside QEMU: only NBD answers there, with the generation's layers, as for clients, and what
takes the list of what the machine has read. Nothing from it reaches the server's interfaces or processes.
"""

from ltspd.outputs.nbd import PORT
from ltspd.trial.messages import Request

# A network like the one behind a server with two cards; it only exists inside QEMU.
NETWORK, SERVER, CLIENT = "192.168.67.0/24", "192.168.67.1", "192.168.67.20"
# QEMU's own addresses there, which must differ from the server's; they lead nowhere.
_OWN = "host=192.168.67.254,dns=192.168.67.253"
MAC = "52:54:00:67:00:01"
# Where the machine sends what it has read, once its login is reached: client/live/trial.sh.
TELL_PORT = 10820
# Several processors start a system faster, but each one takes one of the server's.
MOST_PROCESSORS = 2


def command_line(request: Request) -> str:
    """Return the kernel's command line: the words that the menu gives to clients, and those of a trial."""
    words = [
        f"ltsp.server={SERVER}",
        "ltsp.root=nbd",
        f"ltsp.image={request.image}",
        f"ltsp.generation={request.generation}",
        f"BOOTIF=01-{MAC.replace(':', '-')}",
        f"ip={CLIENT}:{SERVER}::255.255.255.0:::none",
        *request.parameters.split(),
        # The last console is /dev/console. A panic restarts at once, which ends QEMU.
        "console=ttyS0,115200",
        "panic=-1",
        "ltsp.trial",
    ]
    return " ".join(words)


def arguments(request: Request, initrd: str, serve: str, take: str, processors: int) -> list[str]:
    """Return the command that runs the machine, with its first serial line on standard output.

    ``initrd`` is the file of all initrds, ``serve`` the script that serves one NBD connection on its
    standard input and output, ``take`` that which takes what the machine tells of its reads.
    """
    forward = f"guestfwd=tcp:{SERVER}:{PORT}-cmd:/bin/sh {serve}"
    forward += f",guestfwd=tcp:{SERVER}:{TELL_PORT}-cmd:/bin/sh {take}"
    return [
        "qemu-system-x86_64",
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        # QEMU takes the first that works.
        *("-accel", "kvm", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", str(max(1, min(MOST_PROCESSORS, processors))), "-m", str(request.memory)),
        # Display managers need a screen.
        *("-vga", "std"),
        *("-kernel", request.kernel, "-initrd", initrd, "-append", command_line(request)),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-netdev", f"user,id=lan,net={NETWORK},{_OWN},restrict=on,{forward}"),
        *("-device", f"virtio-net-pci,netdev=lan,mac={MAC},romfile="),
    ]

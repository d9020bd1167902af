"""What every boot program gives the kernel: the words of its command line, and its initrds in order. Pure."""

from collections.abc import Iterator

from ltspd.model.menu import Offer, RootTransport

# Below the directory of the boot files. Our init is in the last one, and finds the others unpacked.
ADD_ON, NBD_ADD_ON = "ltsp.img", "nbd.img"


def command_line(
    *,
    image: str,
    generation: str,
    root: str,
    server: str = "",
    base: str = "",
    port: int = 80,
    net: str = "",
    parameters: str = "",
) -> str:
    """Return the command line; a boot program may give its own variables as words.

    Where it can't name the server, the client takes the one that ``ip=`` or DHCP names, and ``port``.
    """
    words = (
        f"ltsp.server={server}" if server else "",
        f"ltsp.root={root}",
        f"ltsp.base={base}" if base else "",
        "" if base or port == 80 else f"ltsp.port={port}",
        f"ltsp.image={image}",
        f"ltsp.generation={generation}",
        net,
        parameters,
    )
    return " ".join(filter(None, words))


def instead_of_nbd(offer: Offer) -> RootTransport:
    """Return how the root of an image comes for which we have no program for NBD."""
    return offer.transport if offer.transport is not RootTransport.NBD else RootTransport.HTTP


def directory(image: str, generation: str) -> str:
    """Return where a generation's kernel and boot initrd are, below the directory of the boot files."""
    return f"images/{image}/generations/{generation}"


def initrds(folder: str, root: str) -> Iterator[str]:
    """Yield the files that the kernel unpacks for a root transport, in this order."""
    yield ADD_ON
    if root == RootTransport.NBD:
        yield NBD_ADD_ON
    yield f"{folder}/initrd.img"

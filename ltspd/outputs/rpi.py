"""What Raspberry Pis 3 to 5 fetch by TFTP: a folder for each image, links where their firmware asks. Pure.

Model 3 asks for ``bootcode.bin`` in the root. Then it asks for ``SERIAL/start.elf``, model 4 for
``SERIAL/start4.elf``, and model 5 for ``SERIAL/config.txt``. Who finds it there takes all else from there;
all others take all from the root. ``config.txt`` names one generation, so nobody gets parts of two.
"""

from collections.abc import Iterator

from ltspd.menu.kernel import command_line, initrds, instead_of_nbd
from ltspd.menu.pi import choices
from ltspd.model.menu import DIRECT, Entry, RootTransport
from ltspd.model.output import File, Output, Symlink
from ltspd.names import is_one_line
from ltspd.outputs.gateway import HTTP_PORT, base
from ltspd.outputs.world import World

ORDER = 23
CONFIG, COMMAND_LINE = "config.txt", "cmdline.txt"


def render(world: World) -> Output | None:
    """Return the output with all folders; None where no image for them is named."""
    entries = world.desired.menu.offer.entries
    found = {who: entry for who, entry, _ in choices(world.settings, entries, world.pi_files) if entry}
    if not found:
        return None
    files: dict[str, File] = {}
    links: dict[str, Symlink] = {}

    def put(path: str, content: bytes | str) -> None:
        if isinstance(content, bytes):
            files[path] = File(path, content)
        else:
            links[path] = Symlink(path, content)

    root = world.paths.tftp.rsplit("/", 1)[0]
    for who, entry in found.items():
        folder = f"{world.paths.tftp}/rpi/{entry.name}"
        firmware = world.pi_files[entry.image].firmware
        for name, content in _folder(world, entry):
            put(f"{folder}/{entry.generation}/{name}", content)
        for place, prefix in ((folder, ""), *(() if who else ((root, f"{folder.removeprefix(root)[1:]}/"),))):
            put(f"{place}/{CONFIG}", _config(entry, f"{prefix}{entry.generation}/", _names(world, entry)))
            for name, path in firmware.items():
                put(f"{place}/{name}", path)
        if who:
            put(f"{root}/{who}", folder)
    return Output("rpi", tuple(files.values()), tuple(links.values()))


def _way(world: World, entry: Entry) -> str:
    """Return how the root comes to it: it has no section of its own, so as to everybody."""
    menu = world.desired.menu
    if not entry.layered:
        return DIRECT
    way = menu.default.transport
    return instead_of_nbd(menu.offer) if way is RootTransport.NBD and not entry.nbd else way


def _names(world: World, entry: Entry) -> tuple[str, ...]:
    """Return the names of its initrds in the generation's folder."""
    return tuple(each.rsplit("/", 1)[-1] for each in initrds("", _way(world, entry)))


def _folder(world: World, entry: Entry) -> Iterator[tuple[str, bytes | str]]:
    """Yield what is in a generation's folder: texts, and where links lead."""
    store = f"{world.desired.store.path}/{entry.image}/generations/{entry.generation}"
    own = ("vmlinuz", "initrd.img")
    for name in ("vmlinuz", *_names(world, entry)):
        yield name, f"{store if name in own else world.paths.tftp}/{name}"
    trees = world.pi_files[entry.image].trees
    yield from trees.get(entry.kernel, trees.get("", {})).items()
    yield COMMAND_LINE, _command_line(world, entry).encode()


def _command_line(world: World, entry: Entry) -> str:
    """Return the kernel's command line. Without ``ip=`` the client asks DHCP itself."""
    links = world.desired.network.served
    server = links[0].address.ip if len(links) == 1 else None
    parameters = world.desired.menu.default.kernel_parameters
    words = command_line(
        image=entry.image,
        generation=entry.generation,
        root=_way(world, entry),
        # In several networks the server has several addresses, and this is one file for all.
        server=str(server or ""),
        base=base(world, server) if server else "",
        port=world.settings[HTTP_PORT],
        parameters=parameters if is_one_line(parameters) else "",
    )
    return f"{words}\n"


def _config(entry: Entry, prefix: str, names: tuple[str, ...]) -> bytes:
    lines = (
        "# Written by ltspd; changes here are reported, not kept.",
        f"os_prefix={prefix}",
        f"arm_64bit={1 if entry.arm else 0}",
        "kernel=vmlinuz",
        f"initramfs {','.join(names)} followkernel",
        # Without it there is no graphics driver.
        "dtoverlay=vc4-kms-v3d",
    )
    return "".join(f"{line}\n" for line in lines).encode()

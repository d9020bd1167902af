"""The modules of a kernel that a boot initrd needs, chosen from its module index. Pure; reads no file.

A module has a path in ``modules.dep`` (``kernel/fs/overlayfs/overlay.ko.xz``) and a name in the kernel's
spelling (``virtio_net``, with underscores).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

_SUFFIXES = (".xz", ".zst", ".gz")

# Wired network drivers, the drivers of the buses between, and the file systems of the root. The patterns are
# fnmatch's, where a star also matches slashes.
_WANTED = (
    "kernel/drivers/net/ethernet/*",
    "kernel/drivers/net/phy/*",
    "kernel/drivers/net/mdio/*",
    "kernel/drivers/net/pcs/*",
    "kernel/drivers/net/usb/*",
    "kernel/drivers/net/hyperv/*",
    "kernel/drivers/net/vmxnet3/*",
    "kernel/drivers/net/virtio_net.ko",
    "kernel/drivers/net/xen-netfront.ko",
    "kernel/drivers/virtio/virtio_pci*.ko",
    "kernel/drivers/virtio/virtio_mmio.ko",
    "kernel/drivers/hv/hv_vmbus.ko",
    "kernel/drivers/pci/controller/*",
    "kernel/drivers/usb/host/[eoux]hci*.ko",
    # Vendors' drivers, which administrators add with DKMS because the kernel's fail on some chips.
    "updates/*/r81[0-9][0-9].ko",
    "updates/r81[0-9][0-9].ko",
    "kernel/fs/overlayfs/overlay.ko",
    "kernel/fs/squashfs/squashfs.ko",
    "kernel/drivers/block/loop.ko",
    "kernel/drivers/block/nbd.ko",
    "kernel/fs/nfs/nfs.ko",
    "kernel/fs/nfs/nfsv4.ko",
    "kernel/net/packet/af_packet.ko",
    # A USB keyboard, for the debug shell.
    "kernel/drivers/hid/usbhid/usbhid.ko",
    "kernel/drivers/hid/hid-generic.ko",
)
# No client boots through switch chips, wireless modems or storage fabrics; they have the largest modules and
# firmware of all.
_UNWANTED = (
    "kernel/drivers/net/ethernet/mellanox/mlxsw/*",
    "kernel/drivers/net/ethernet/marvell/prestera/*",
    "kernel/drivers/net/ethernet/mscc/*",
    "kernel/drivers/net/ethernet/microchip/sparx5/*",
    "kernel/drivers/net/ethernet/microchip/lan966x/*",
    "kernel/drivers/net/ethernet/netronome/*",
    "kernel/drivers/net/ethernet/cavium/liquidio/*",
    "kernel/drivers/net/ethernet/rocker/*",
    "kernel/drivers/net/usb/qmi_wwan.ko",
    "kernel/drivers/net/usb/cdc_mbim.ko",
    "kernel/drivers/net/usb/hso.ko",
    "kernel/drivers/net/usb/sierra_net.ko",
    "kernel/drivers/net/usb/huawei_cdc_ncm.ko",
    "kernel/drivers/net/usb/cdc-phonet.ko",
)
_NIC_PATHS = ("drivers/net/ethernet/", "drivers/net/usb/", "drivers/net/vmxnet3/", "drivers/net/hyperv/")
_NIC_NAMES = frozenset({"virtio_net", "xen_netfront"})
# Xen shows a boot program a PC's card, and takes it away when the kernel has found its own.
_ALWAYS = frozenset({"xen_netfront"})
# Drivers of the physical layer, which the kernel loads by the chip that it finds behind a card.
_LAYER, _LAYER_PATHS = "libphy", ("drivers/net/phy/", "drivers/net/mdio/", "drivers/net/pcs/")


@dataclass(frozen=True, slots=True)
class Index:
    """A kernel's module index.

    ``dependencies`` maps a module's path to the paths that it needs, ``builtin`` are the paths of built-in
    modules, ``aliases`` are (pattern, module name), ``softdeps`` maps a name to optional names or aliases.
    """

    dependencies: Mapping[str, tuple[str, ...]]
    builtin: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    softdeps: Mapping[str, tuple[str, ...]]


def parse(dep: str, builtin: str, alias: str, softdep: str) -> Index:
    """Return the index of the texts of ``modules.dep``, ``.builtin``, ``.alias`` and ``.softdep``."""
    dependencies = {}
    for line in dep.splitlines():
        path, colon, needs = line.partition(":")
        if colon:
            dependencies[path.strip()] = tuple(needs.split())
    aliases = []
    for line in alias.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "alias":
            aliases.append((words[1], name_of(words[2])))
    softdeps: dict[str, tuple[str, ...]] = {}
    for line in softdep.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "softdep":
            wishes = tuple(word for word in words[2:] if word not in ("pre:", "post:"))
            softdeps[name_of(words[1])] = softdeps.get(name_of(words[1]), ()) + wishes
    return Index(dependencies, tuple(builtin.split()), tuple(aliases), softdeps)


def plain(path: str) -> str:
    """Return the path without the suffix of a compressed module."""
    for suffix in _SUFFIXES:
        path = path.removesuffix(suffix)
    return path


def name_of(path: str) -> str:
    """Return a module's name in the kernel's spelling."""
    return plain(path.rpartition("/")[2]).removesuffix(".ko").replace("-", "_")


def wanted(index: Index) -> frozenset[str]:
    """Return the paths of all modules that a client may need before its root is mounted, and of theirs."""
    return _Needs(index).of(path for path in index.dependencies if _is_wanted(plain(path)))


class _Needs:
    """What modules of an index need: what they depend on, and what they like to have."""

    def __init__(self, index: Index) -> None:
        by_name = {name_of(path): path for path in index.dependencies}
        exact = {pattern: name for pattern, name in index.aliases if not set("*?[") & set(pattern)}
        self._of = {path: tuple(needs) for path, needs in index.dependencies.items()}
        for name, wishes in index.softdeps.items():
            if name in by_name:
                names = (name_of(exact.get(wish, wish)) for wish in wishes)
                self._of[by_name[name]] += tuple(by_name[wish] for wish in names if wish in by_name)

    def of(self, paths: Iterable[str]) -> frozenset[str]:
        """Return these modules and all that they need."""
        chosen = set(paths)
        todo = list(chosen)
        while todo:
            for other in self._of[todo.pop()]:
                if other not in chosen and other in self._of:
                    chosen.add(other)
                    todo.append(other)
        return frozenset(chosen)


def shares(index: Index, chosen: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return for each chosen module the drivers of network cards without which nobody needs it.

    None: every machine needs it. A card that has its physical layer driven by the kernel may need any driver
    of that.
    """
    chosen, needs = sorted(chosen), _Needs(index)
    cards = {path for path in chosen if is_nic(path) and name_of(path) not in _ALWAYS}
    layers = {path for path in chosen if any(part in path for part in _LAYER_PATHS)}
    all_layers = needs.of(layers)
    built_in = any(name_of(path) == _LAYER for path in index.builtin)
    users: dict[str, set[str]] = {path: set() for path in chosen}
    for card in cards:
        own = needs.of([card])
        if built_in or any(name_of(path) == _LAYER for path in own):
            own |= all_layers
        for path in own:
            users[path].add(name_of(card))
    rest = needs.of(path for path in chosen if path not in cards | layers and _is_wanted(plain(path)))
    return {path: frozenset() if path in rest else frozenset(found) for path, found in users.items()}


def missing(index: Index) -> tuple[str, ...]:
    """Return the names of modules that a client needs to boot and this kernel lacks, also built in."""
    paths = [plain(path) for path in (*index.dependencies, *index.builtin)]
    names = {name_of(path) for path in paths}
    lacks = [name for name in ("overlay", "squashfs", "loop") if name not in names]
    if not names & {"nfsv4", "nbd"}:
        lacks.append("nfsv4 or nbd")
    if not any(is_nic(path) for path in paths):
        lacks.append("a driver of a wired network card")
    return tuple(lacks)


def is_nic(path: str) -> bool:
    """Return whether the module drives wired network cards."""
    is_driver = name_of(path) in _NIC_NAMES or any(part in path for part in _NIC_PATHS)
    return is_driver and not any(fnmatchcase(plain(path), pattern) for pattern in _UNWANTED)


def dep_text(index: Index, chosen: Iterable[str]) -> str:
    """Return ``modules.dep`` of the chosen modules, with their uncompressed names."""
    lines = (
        f"{plain(path)}: {' '.join(plain(need) for need in index.dependencies[path])}".rstrip()
        for path in sorted(chosen)
    )
    return "".join(f"{line}\n" for line in lines)


def alias_text(index: Index, chosen: Iterable[str]) -> str:
    """Return ``modules.alias`` of the chosen modules; the client reads it line by line, so it is short."""
    names = {name_of(path) for path in chosen}
    return "".join(f"alias {pattern} {name}\n" for pattern, name in index.aliases if name in names)


def softdep_text(softdep: str, chosen: Iterable[str]) -> str:
    """Return the lines of ``modules.softdep`` that are about the chosen modules."""
    names = {name_of(path) for path in chosen}
    lines = (line for line in softdep.splitlines() if line.startswith("softdep "))
    return "".join(f"{line}\n" for line in lines if name_of(line.split()[1]) in names)


def _is_wanted(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in _WANTED) and not any(
        fnmatchcase(path, pattern) for pattern in _UNWANTED
    )

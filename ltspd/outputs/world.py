"""What outputs are rendered from, without names that would break a file of another program. Pure.

Names come from ltsp.conf, the store, the kernel and the network. Each was checked when it was read; ``sound``
checks all of them once more, so that outputs need not check any.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ltspd.clients.fields import is_sound
from ltspd.config.parameter import Settings
from ltspd.model.desired import Desired, Homes, Opening
from ltspd.model.facts import Facts, PiFiles, Program
from ltspd.model.image import Generation, Image
from ltspd.model.menu import Entry, Menu, MenuChoice
from ltspd.model.network import Reservation
from ltspd.model.order import Order
from ltspd.names import (
    is_domain,
    is_host_name,
    is_link_name,
    is_mac,
    is_mac_glob,
    is_one_line,
    is_plain_path,
)
from ltspd.paths import Paths

# Images, generations, boot programs, and what iPXE compares a host with.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
# A file has this name.
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NETWORK = re.compile(r"[0-9.]{7,15}/[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class World:
    """All that outputs are rendered from; what an output needs besides is added here.

    ``programs`` are those of the outputs' ``PROGRAMS`` that are installed; ``boot_programs`` leads from the
    names of network boot programs to their files. ``add_ons`` are the finished add-on initrds by their names,
    ``signed`` the documents for running clients and their signatures. The last four are those of the facts.
    """

    settings: Settings
    desired: Desired
    paths: Paths
    programs: frozenset[Program]
    boot_programs: Mapping[str, str]
    kernel_nfsd: bool
    add_ons: Mapping[str, bytes]
    orders: tuple[Order, ...] = ()
    signed: Mapping[str, bytes] = field(default_factory=dict)
    exported: frozenset[str] = frozenset()
    exported_homes: frozenset[str] = frozenset()
    boot: str = ""
    pi_files: Mapping[str, PiFiles] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        settings: Settings,
        desired: Desired,
        facts: Facts,
        paths: Paths,
        add_ons: Mapping[str, bytes],
        signed: Mapping[str, bytes] = MappingProxyType({}),
    ) -> "World":
        """Return the world with what outputs may know of the facts."""
        return cls(
            settings,
            desired,
            paths,
            facts.programs,
            facts.boot_programs,
            facts.kernel_nfsd,
            add_ons,
            facts.orders,
            signed,
            facts.exported,
            facts.exported_homes,
            facts.boot,
            facts.pi_files,
        )


def sound(world: World) -> World:
    """Return the world without entries whose names are unsafe in files that other programs read."""
    desired, home = world.desired, f"{world.paths.base}/"
    network, store = desired.network, desired.store
    return replace(
        world,
        desired=replace(
            desired,
            network=replace(
                network,
                served=tuple(each for each in network.served if is_link_name(each.link)),
                search_domain=network.search_domain if is_domain(network.search_domain) else "",
                reservations=tuple(filter(_is_machine, network.reservations)),
                denied=tuple(filter(is_mac_glob, network.denied)),
                allowed=tuple(filter(is_mac_glob, network.allowed)),
            ),
            menu=_menu(desired.menu),
            store=replace(
                store,
                images=tuple(_image(each) for each in store.images if NAME.fullmatch(each.name)),
                direct=tuple(each for each in store.direct if _is_below(each, home)),
            ),
            openings=tuple(each for each in desired.openings if _can_be_opened(each)),
            homes=_homes(desired.homes),
        ),
        exported=frozenset(filter(_NETWORK.fullmatch, world.exported)),
        exported_homes=frozenset(filter(_NETWORK.fullmatch, world.exported_homes)),
        boot=world.boot if is_one_line(world.boot) else "",
        boot_programs={
            name: path
            for name, path in world.boot_programs.items()
            if NAME.fullmatch(name) and is_one_line(path)
        },
    )


def _is_machine(machine: Reservation) -> bool:
    return is_mac(machine.mac) and (not machine.name or is_host_name(machine.name))


def _can_be_opened(opening: Opening) -> bool:
    words = {"mac": opening.mac, "key": opening.key}
    return _ACCOUNT.fullmatch(opening.account) is not None and all(
        text and is_sound(field, text) for field, text in words.items()
    )


def _homes(homes: Homes | None) -> Homes | None:
    return homes if homes and is_plain_path(homes.path) and is_plain_path(homes.point) else None


def _is_below(path: str, home: str) -> bool:
    return path.startswith(home) and NAME.fullmatch(path.removeprefix(home)) is not None


def _image(image: Image) -> Image:
    return replace(image, generations=tuple(filter(_is_sound, image.generations)))


def _is_sound(generation: Generation) -> bool:
    names = NAME.fullmatch(generation.id) and NAME.fullmatch(generation.image)
    return bool(names) and all(_DIGEST.fullmatch(layer.digest) for layer in generation.layers)


def _menu(menu: Menu) -> Menu:
    entries = tuple(each for each in menu.offer.entries if _can_be_booted(each))
    first = entries[0].name if entries else ""
    names = {each.name for each in entries}

    def choice(given: MenuChoice) -> MenuChoice:
        return replace(given, entry=given.entry if given.entry in names else first)

    hosts = ((key, value, choice(each)) for key, value, each in menu.hosts if NAME.fullmatch(value))
    return replace(
        menu,
        offer=replace(menu.offer, entries=entries),
        default=choice(menu.default),
        hosts=tuple(hosts),
    )


def _can_be_booted(entry: Entry) -> bool:
    return all(NAME.fullmatch(each) for each in (entry.image, entry.generation, entry.channel))

"""What may stand in files that other programs read: Desired without what can't, whoever it came from. Pure.

Names and texts come from ltsp.conf, from the store, from the kernel and from the network. Each was checked
where it came in; here none of that is relied on, so that no renderer has to look at a value twice.
"""

import re
from dataclasses import replace

from ltspd.model.desired import Desired
from ltspd.model.image import Generation, Image
from ltspd.model.menu import Menu, MenuChoice
from ltspd.names import is_link_name

# Images, generations, boot programs, and what iPXE compares a host with.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})")
# C0, DEL, C1, the separators that Unicode counts as ends of lines, and bytes that were no text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def sound(desired: Desired) -> Desired:
    """Return what is desired without names that can't be written, and with each text on one line or empty."""
    images = tuple(_image(each) for each in desired.images if NAME.fullmatch(each.name))
    return replace(
        desired,
        served=tuple(each for each in desired.served if is_link_name(each.link)),
        menu=_menu(desired.menu),
        images=images,
        direct=tuple(each for each in desired.direct if NAME.fullmatch(each.rpartition("/")[2])),
        search_domain=desired.search_domain if _DOMAIN.fullmatch(desired.search_domain) else "",
        boot_programs={
            name: path
            for name, path in desired.boot_programs.items()
            if NAME.fullmatch(name) and not _CONTROL.search(path)
        },
    )


def line(text: str) -> str:
    """Return a text with blanks for tabs; an empty one if it has a control character."""
    text = text.replace("\t", " ")
    return "" if _CONTROL.search(text) else text


def _image(image: Image) -> Image:
    return replace(image, generations=tuple(filter(_is_sound, image.generations)))


def _is_sound(generation: Generation) -> bool:
    names = NAME.fullmatch(generation.id) and NAME.fullmatch(generation.image)
    return bool(names) and all(_DIGEST.fullmatch(layer.digest) for layer in generation.layers)


def _menu(menu: Menu) -> Menu:
    entries = tuple(replace(each, kernel=line(each.kernel)) for each in menu.entries if _is_sound(each))
    first = entries[0].image if entries else ""
    names = {each.image for each in entries}

    def choice(given: MenuChoice) -> MenuChoice:
        image = given.image if given.image in names else first
        return replace(given, image=image, kernel_parameters=line(given.kernel_parameters))

    return Menu(
        entries,
        choice(menu.default),
        tuple((key, value, choice(each)) for key, value, each in menu.hosts if NAME.fullmatch(value)),
        {image: line(title) for image, title in menu.titles.items()},
    )

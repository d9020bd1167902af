"""World -> files, purely: one module per output, which is found by itself. Pure.

A module here that has ``render`` is an output, named after its service and the program that does it:

* ``render(world) -> Output | None``: None where another program provides that service;
* ``ORDER``: outputs are applied from the lowest to the highest. Files come before the services that hand them
  out, and DHCP comes last, because its answers bring the clients;
* ``PATH``: its file, if it has one of its own, where systemd/ltspd.service lets the daemon write;
* ``PROGRAMS``: the programs that it needs; they are looked for on the server in every pass;
* ``UNITS``: the units that it may start.
"""

import importlib
import pkgutil
from typing import Protocol, cast

from ltspd.model.output import Output
from ltspd.outputs.world import World, sound


class _Module(Protocol):
    ORDER: int

    def render(self, world: World) -> Output | None: ...


def _modules() -> list[_Module]:
    names = sorted(each.name for each in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found = [cast(_Module, each) for each in modules if hasattr(each, "render")]
    return sorted(found, key=lambda each: each.ORDER)


_MODULES = _modules()
# What all outputs together look for on the server, and may start there.
PROGRAMS = frozenset(program for each in _MODULES for program in getattr(each, "PROGRAMS", ()))
UNITS = frozenset(unit for each in _MODULES for unit in getattr(each, "UNITS", ()))


def outputs(world: World) -> tuple[Output, ...]:
    """Return every output in the order of applying."""
    world = sound(world)
    return tuple(output for each in _MODULES if (output := each.render(world)) is not None)

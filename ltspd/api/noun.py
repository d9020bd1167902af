"""How a noun of the D-Bus interface is declared: properties, methods with their options, signals. Pure.

All else follows from the declarations: the objects on the bus, the dispatcher's table, what a caller must be
allowed to, the XML, the pages. Signatures are D-Bus's; arguments are written ``"s name, a{sv} options"``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ltspd import names
from ltspd.errors import InvalidOption, LtspError
from ltspd.model.state import State
from ltspd.paths import Paths

# The first version of the interface: a member that says nothing else has been there since then.
FIRST = "0.1.0"

# What polkit is asked about; polkit/org.ltsp.Server1.policy says who may.
BUILD_IMAGE = names.action("build-image")
REVERT_IMAGE = names.action("revert-image")
CONFIGURE = names.action("configure")
CONTROL_CLIENT = names.action("control-client")
EDIT_CONFIG = names.action("edit-config")

# What an object-path property says when there is no object.
NO_OBJECT = "/"
# How long a method waits for what follows it, in seconds: callers give up after 25 (D-Bus's default).
PATIENCE = 10.0
# How much of a caller's own words an error repeats: the longest file name (Linux NAME_MAX).
NAME_MAX = 255

# path -> interface -> property -> value
Tree = Mapping[str, Mapping[str, Mapping[str, Any]]]

T = TypeVar("T")


class Refusal(LtspError):
    """A call that can't be served, under an error name of the D-Bus standard, which every binding knows."""

    def __init__(self, standard: str, message: str) -> None:
        """Take the last part of an ``org.freedesktop.DBus.Error`` name, and a sentence."""
        super().__init__(message)
        self.standard = standard

    @property
    def dbus_name(self) -> str:
        """The full D-Bus error name."""
        return f"org.freedesktop.DBus.Error.{self.standard}"


class Typed(NamedTuple):
    """A value inside a variant: there, only the value itself can say its D-Bus type."""

    signature: str
    value: Any


class Core(Protocol):
    """The daemon as methods of every noun see it; what else a noun's methods need is in its file."""

    @property
    def paths(self) -> Paths:
        """Where things lie."""

    @property
    def state(self) -> State:
        """What is published; a job that was just started is already in it."""

    def wake(self) -> None:
        """Have everything looked at soon, and return at once."""

    async def tell(self) -> None:
        """Publish what a method has just changed; bringing everything up to date follows."""

    async def follow_up(self, seconds: float) -> None:
        """Bring everything up to date, and wait for the end of that, but not longer than ``seconds``."""


class Question(NamedTuple):
    """A call that somebody may want to make: the object's path, the method, its arguments with types."""

    path: str
    method: str
    arguments: "tuple[Typed, ...]"


async def _nothing(_questions: Sequence[Question]) -> Sequence[bool]:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Call:
    """One method call. ``uid`` is the caller's; ``arguments`` are plain values, options already checked.

    ``may`` says which calls the same caller would be allowed to make, without asking for a password.
    """

    sender: str
    uid: int
    arguments: tuple[Any, ...]
    may: Callable[[Sequence[Question]], Awaitable[Sequence[bool]]] = _nothing


@dataclass(frozen=True, slots=True)
class Property(Generic[T]):
    """A property, or a key of a dictionary: ``get`` returns its value, sequences as tuples.

    ``emits`` is D-Bus's EmitsChangedSignal: true, invalidates, const or false. ``keys`` are those of the
    dictionaries that it holds.
    """

    name: str
    signature: str
    get: Callable[[T], Any]
    doc: str = ""
    emits: str = "true"
    keys: "tuple[Property[Any], ...]" = ()
    since: str = FIRST


@dataclass(frozen=True, slots=True)
class Option:
    """What the ``a{sv}`` argument of a method may hold; ``doc`` goes on where its name ends."""

    name: str
    signature: str
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal, for what no property can say."""

    name: str
    outputs: str
    doc: str
    since: str = FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[T]):
    """A method: ``run`` gets the core, the object and the call.

    ``run`` returns the out-argument, or None. No method has more than one: keys can be added to a dictionary
    later, but no argument to a method. ``action`` is polkit's, or a function that chooses it; then ``needs``
    says in words what it chooses. None: the method only reads, and everyone may call it. ``only``: only this
    process of ours and root may call it, and polkit is not asked.

    ``details`` are what a dialog may name and a rule of the administrator may read (polkit's details); the
    object's own if there is no such function. ``errors`` are those of the call, ``job_errors`` those of the
    job that it starts; ``keys`` belong to the dictionaries that it returns.
    """

    name: str
    inputs: str = ""
    outputs: str = ""
    run: Callable[[Any, T, Call], Awaitable[object]]
    action: str | Callable[[T, Call], str] | None
    only: str = ""
    needs: str = ""
    details: Callable[[T, Call], Mapping[str, str]] | None = None
    options: tuple[Option, ...] = ()
    keys: tuple[Property[Any], ...] = ()
    doc: str
    errors: tuple[type[LtspError], ...] = ()
    job_errors: tuple[type[LtspError], ...] = ()
    since: str = FIRST

    def action_for(self, subject: T, call: Call) -> str | None:
        """Return the polkit action that this very call needs."""
        return self.action(subject, call) if callable(self.action) else self.action


class Standard(NamedTuple):
    """A method of an interface that the D-Bus specification defines, which ``standard`` answers."""

    name: str
    inputs: str = ""
    outputs: str = ""


@dataclass(frozen=True, kw_only=True)
class Interface(Generic[T]):
    """An interface under its full name."""

    name: str
    methods: "tuple[Method[T] | Standard, ...]" = ()
    signals: tuple[Signal, ...] = ()
    properties: tuple[Property[T], ...] = ()

    @cached_property
    def calls(self) -> "Mapping[str, Method[T] | Standard]":
        """The methods by name."""
        return {each.name: each for each in self.methods}

    @cached_property
    def by_name(self) -> Mapping[str, Property[T]]:
        """The properties by name."""
        return {each.name: each for each in self.properties}


# Names are few, and escaping one takes longer than all else that is done for an unchanged object.
path_of = lru_cache(maxsize=4096)(names.object_path)


def _gone(what: str) -> LtspError:
    return Refusal("UnknownObject", f"There is no {what} any more.")


def _no_details(_subject: Any) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Noun(Interface[T]):
    """An interface of ours: ``objects`` are all that a state has, ``key`` names the path of each.

    Without a ``key`` there is one object, at the root path. ``details`` are polkit's; ``gone`` makes the
    error for an object that is not there any more.
    """

    objects: Callable[[State], Sequence[T]]
    key: Callable[[T], str] | None = None
    details: Callable[[T], Mapping[str, str]] = _no_details
    gone: Callable[[str], LtspError] = _gone

    @cached_property
    def word(self) -> str:
        """The noun as paths have it: ``image``."""
        return self.name.rpartition(".")[2].lower()

    def path(self, subject: T) -> str:
        """Return the path of an object."""
        return path_of(self.word, self.key(subject)) if self.key is not None else names.ROOT_PATH

    def at(self, state: State, path: str) -> T:
        """Return the object of a path; raises what ``gone`` makes."""
        for each in self.objects(state):
            if self.path(each) == path:
                return each
        raise self.gone(f"{self.word} at {path[:NAME_MAX]}")

    def values(self, subject: T) -> Mapping[str, Any]:
        """Return the properties of an object."""
        return {each.name: each.get(subject) for each in self.properties}


class Argument(NamedTuple):
    """One argument of a method or signal."""

    signature: str
    name: str


@lru_cache(maxsize=256)
def arguments(text: str) -> tuple[Argument, ...]:
    """Return what ``"s name, a{sv} options"`` declares."""
    return tuple(Argument(*each.split()) for each in text.split(",") if each)


def signature(text: str) -> str:
    """Return the signature of declared arguments."""
    return "".join(each.signature for each in arguments(text))


def record(keys: tuple[Property[T], ...], subject: T) -> Mapping[str, Typed]:
    """Return a dictionary with these keys, as it stands in ``a{sv}``."""
    return {each.name: Typed(each.signature, each.get(subject)) for each in keys}


def check_options(given: Mapping[str, Any], known: tuple[Option, ...]) -> Mapping[str, object]:
    """Return options as plain values; raises InvalidOption for an unknown one or a wrong type."""
    signatures = {each.name: each.signature for each in known}
    for key, variant in given.items():
        if key not in signatures:
            allowed = ", ".join(sorted(signatures)) or "none"
            raise InvalidOption(f"Option {key[:NAME_MAX]!r} is not known here; known options: {allowed}.")
        if variant.signature != signatures[key]:
            raise InvalidOption(f"Option {key!r} must have the D-Bus type '{signatures[key]}'.")
    return {key: variant.value for key, variant in given.items()}

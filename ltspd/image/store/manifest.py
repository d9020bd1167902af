"""A generation's manifest as text, and what changed between two of them. Pure."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields

from ltspd.model.image import Generation, Image, Layer

FORMAT = 1
# Which rules say what is left out of every image. A higher number makes older generations outdated, so that
# they are built again: they may have secrets in them. 1: what others may not read; hashes and keys anywhere.
RULES = 1
_REQUIRED = frozenset(each.name for each in fields(Generation) if each.default is MISSING)


@dataclass(frozen=True, slots=True)
class BootPart:
    """What of a generation's initrd the next one may use again: its first ``size`` bytes.

    ``key`` is a digest of all that they and the kernel were made from; empty: not known.
    """

    key: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a generation: what the bus shows, and what only later builds need.

    ``kernel_pattern`` is what its kernel was chosen by, empty: by its source; ``initrd`` is whose it has: our
    own, or the distribution's.
    """

    generation: Generation
    packages: Mapping[str, str] = field(default_factory=dict)
    excludes: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    level: int = 0
    boot: BootPart = BootPart()
    kernel_pattern: str = ""
    initrd: str = "own"


@dataclass(frozen=True, slots=True)
class Changes:
    """Package names that differ between two generations, each sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        """Return for example ``1 package added, 3 changed``, or an empty string."""
        counts = (
            (len(self.added), "added"),
            (len(self.removed), "removed"),
            (len(self.changed), "changed"),
        )
        words = [(number, verb) for number, verb in counts if number]
        if not words:
            return ""
        first = f"{words[0][0]} package{'s' if words[0][0] != 1 else ''} {words[0][1]}"
        return ", ".join((first, *(f"{number} {verb}" for number, verb in words[1:])))


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> Changes:
    """Return how the packages of ``new`` differ from those of ``old``; both are {name: version}."""
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def summarize(previous: Manifest | None, packages: Mapping[str, str], kernel: str) -> str:
    """Return one line of what a new generation brings over the previous one."""
    if previous is None:
        return f"first build, {len(packages)} packages, kernel {kernel}"
    words = str(changes(previous.packages, packages))
    if previous.generation.kernel != kernel:
        words = ", ".join(filter(None, (words, f"kernel {previous.generation.kernel} → {kernel}")))
    return words or "no package changed"


def stale_because(
    image: Image,
    digest: str,
    packages: Mapping[str, str] | None = None,
    built: Mapping[str, str] | None = None,
) -> str:
    """Return why clients would get something newer after a build, or an empty string.

    ``digest`` is the source's ``Packages.digest`` now; ``packages`` and ``built`` are the package
    lists now and in the current generation, with which the reason gets its figures.
    """
    current = image.current_generation
    if current is None:
        return "never built"
    if current.outdated and not current.direct:
        return "built by an older version, which left fewer private files out"
    if not digest or current.packages_digest == digest:
        return ""
    if packages is None or built is None:
        return "packages changed since the build"
    return f"{changes(built, packages)} since the build"


def to_text(manifest: Manifest) -> str:
    """Return the manifest as JSON with one key a line."""
    facts = asdict(manifest.generation)
    content = {
        "format": FORMAT,
        "rules": 0 if facts.pop("outdated") else RULES,
        **facts,
        "level": manifest.level,
        "kernel_pattern": manifest.kernel_pattern,
        "initrd": manifest.initrd,
        "boot": asdict(manifest.boot),
        "tools": dict(manifest.tools),
        "excludes": list(manifest.excludes),
        "packages": dict(sorted(manifest.packages.items())),
    }
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


def from_text(text: str) -> Manifest:
    """Return what ``to_text`` wrote; raises ValueError that says what is wrong."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"it is not a manifest of format {FORMAT}")
    try:
        layers = tuple(Layer(str(each["digest"]), int(each["size"])) for each in content["layers"])
        kinds = {each.name: each.type for each in fields(Generation)}
        # What newer versions added is not in a manifest of an older one.
        given = {name for name in kinds if name in content or name in _REQUIRED}
        values = {name: content[name] for name in given - {"layers", "notes", "outdated"}}
        for name, value in values.items():
            if not _fits(value, kinds[name]):
                raise ValueError(f"{name!r} has the wrong type")
        notes = tuple(str(each) for each in content.get("notes", ()))
        outdated = int(content.get("rules", 0)) < RULES
        generation = Generation(layers=layers, notes=notes, outdated=outdated, **values)
        packages = {str(name): str(version) for name, version in content.get("packages", {}).items()}
        tools = {str(name): str(version) for name, version in content.get("tools", {}).items()}
        excludes = tuple(str(each) for each in content.get("excludes", ()))
        boot = content.get("boot", {})
        part = BootPart(str(boot.get("key", "")), int(boot.get("size", 0)))
        level, pattern = int(content.get("level", 0)), str(content.get("kernel_pattern", ""))
        initrd = str(content.get("initrd", "own"))
        return Manifest(generation, packages, excludes, tools, level, part, pattern, initrd)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks or misuses {error}") from error


def _fits(value: object, kind: object) -> bool:
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(kind, type) and isinstance(value, kind)

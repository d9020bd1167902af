"""Cards of ifupdown: its files are changed on request only, and can be put back."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path

from ltspd.errors import ToolFailed
from ltspd.setup import interfaces
from ltspd.setup.managers import Undo, has_address, wait
from ltspd.setup.request import Change
from ltspd.system.files import digest, digest_of, remove, write_atomically
from ltspd.system.run import run


class IfUpDown:
    """ifupdown."""

    name = "ifupdown"

    def __init__(self, root: Path) -> None:
        """Read and write files below a root."""
        self._root = root

    @property
    def present(self) -> bool:
        """Whether it is installed."""
        return (self._root / "sbin/ifup").exists()

    def has(self, link: str) -> bool:
        """Return whether a stanza is for this card; what it does not start, others may have."""
        return self.present and interfaces.has(self._files(), link)

    def difference(self, change: Change) -> list[str]:
        """Return the files with their lines that change."""
        files, lines = self._files(), []
        for path, text in interfaces.converted(files, change).items():
            before = files.get(path, "").splitlines()
            lines.append(f"+ {path}")
            lines += (f"+     {each}" for each in text.splitlines() if each not in before)
        return lines

    def prepare(self, change: Change) -> Undo:
        """Return the files as they are, and how ours will be recognized."""
        before = self._files()
        after = interfaces.converted(before, change)
        return {
            "manager": self.name,
            "link": change.link.name,
            "before": json.dumps({path: before.get(path) for path in after}),
            "after": json.dumps({path: digest(text.encode()) for path, text in after.items()}),
            "had": "yes" if interfaces.has(before, change.link.name) else "",
        }

    def apply(self, change: Change, undo: Undo) -> None:
        """Write the files and bring the card up with them."""
        self._do("ifdown", "--force", change.link.name)
        for path, text in interfaces.converted(self._files(), change).items():
            self._write(path, text)
        said = self._do("ifup", change.link.name)
        got = f"{change.link.name} did not get {change.address or 'an address'} from ifup ({said})"
        wait(lambda: has_address(change), got)

    def undo(self, undo: Undo) -> None:
        """Put the files back that nobody has changed since."""
        before: Mapping[str, str | None] = json.loads(undo["before"])
        after: Mapping[str, str] = json.loads(undo["after"])
        self._do("ifdown", "--force", undo["link"])
        for path, text in before.items():
            if digest_of(self._place(path)) != after[path]:
                continue
            if text is None:
                remove(self._place(path))
            else:
                self._write(path, text)
        if undo["had"]:
            self._do("ifup", undo["link"])

    def _files(self) -> Mapping[str, str]:
        places = [self._place(interfaces.MAIN)]
        directory = self._place(interfaces.DIRECTORY)
        places += sorted(each for each in directory.glob("*") if each.is_file())
        found = {}
        for each in places:
            try:
                found["/" + str(each.relative_to(self._root))] = each.read_text(errors="surrogateescape")
            except OSError:
                continue
        return found

    def _write(self, path: str, text: str) -> None:
        # A link stays one.
        place = self._place(path).resolve()
        try:
            place.parent.mkdir(exist_ok=True)
            # There may be passwords in it that nobody else may read.
            mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o644
            write_atomically(place, text.encode(errors="surrogateescape"), mode)
        except OSError as error:
            raise ToolFailed(f"{path} can't be written ({error.strerror}).") from error

    def _place(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _do(self, *argv: str) -> str:
        done = asyncio.run(run(argv, check=False))
        return (done.stderr or done.stdout).decode(errors="replace").strip()

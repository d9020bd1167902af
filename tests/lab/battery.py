"""Over forty things that programs do with the files of a home, tried in two directories that are one home.

It runs as an ordinary user wherever the home is, with Python alone: the second directory is what another
client would see, or the first one again. ``run A B`` prints a line for each operation, or JSON with
``--json``; ``table NAME=FILE …`` puts the JSON of several runs side by side, as a table for docs/homes.md.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import socket
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

OK = "ok"
# Seconds until a change at the other directory is given up on.
FRESH = 30.0
# Writers of one database, and what each writes.
_ROWS = 40
_LINES = 100

Operation = Callable[[Path, Path], str]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Make a function an operation. It returns OK, or in a few words what is not as on a disk."""

    def add(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return add


# ---- writing and reading ---------------------------------------------------------------------------


@operation("write, read back")
def _write(a: Path, _b: Path) -> str:
    (a / "f").write_bytes(os.urandom(300_000))
    return OK if len((a / "f").read_bytes()) == 300_000 else "another size"


@operation("written by one, read by the other")
def _close_to_open(a: Path, b: Path) -> str:
    for n in range(5):
        (a / "f").write_text(f"text {n}" * (n + 1))
        if (seen := (b / "f").read_text()) != f"text {n}" * (n + 1):
            return f"the other reads {seen[:20]!r} after {n} changes"
    return OK


@operation("append by one")
def _append(a: Path, _b: Path) -> str:
    for n in range(_LINES):
        with (a / "f").open("a") as file:
            file.write(f"{n}\n")
    return _all_lines(a / "f", 1)


@operation("append by both at once")
def _append_both(a: Path, b: Path) -> str:
    def write(place: Path, name: str) -> None:
        file = os.open(place / "f", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for n in range(_LINES):
            os.write(file, f"{name} {n:04}\n".encode())
        os.close(file)

    (a / "f").touch()
    _together(lambda: write(a, "a"), lambda: write(b, "b"))
    return _all_lines(a / "f", 2)


def _all_lines(file: Path, writers: int) -> str:
    lines = file.read_text(errors="replace").splitlines()
    lost = writers * _LINES - len(set(lines))
    return OK if lost == 0 else f"{lost} of {writers * _LINES} lines lost"


@operation("truncate, write far behind the end")
def _sparse(a: Path, _b: Path) -> str:
    with (a / "f").open("wb+") as file:
        file.write(b"x" * 10_000)
        file.truncate(100)
        file.seek(5 << 30)
        file.write(b"end")
        file.flush()
        file.seek(50)
        kept = file.read(100)
    if kept != b"x" * 50 + b"\0" * 50:
        return "what was cut off came back"
    return OK if (a / "f").stat().st_size == (5 << 30) + 3 else "another size"


@operation("fsync, fdatasync, of a directory too")
def _fsync(a: Path, _b: Path) -> str:
    with (a / "f").open("wb") as file:
        file.write(b"x" * 100_000)
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    directory = os.open(a, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return OK


@operation("memory mapping, shared and written")
def _mmap(a: Path, b: Path) -> str:
    (a / "f").write_bytes(bytes(8192))
    with (a / "f").open("r+b") as file, mmap.mmap(file.fileno(), 8192) as memory:
        memory[4096:4100] = b"late"
        memory.flush()
    return OK if (b / "f").read_bytes()[4096:4100] == b"late" else "the other does not see it"


@operation("O_DIRECT")
def _direct(a: Path, _b: Path) -> str:
    file = os.open(a / "f", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    try:
        with mmap.mmap(-1, 4096) as memory:
            memory[:4] = b"data"
            os.write(file, memory)
    finally:
        os.close(file)
    return OK if (a / "f").read_bytes()[:4] == b"data" else "another content"


@operation("fallocate")
def _fallocate(a: Path, _b: Path) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    with (a / "f").open("wb") as file:
        # Not posix_fallocate(3), which writes zeros where the file system can't.
        if libc.fallocate(file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(100_000)) != 0:
            raise OSError(ctypes.get_errno(), "")
    return OK if (a / "f").stat().st_size == 100_000 else "another size"


@operation("free space")
def _statvfs(a: Path, _b: Path) -> str:
    found = os.statvfs(a)
    return OK if found.f_blocks and found.f_bavail <= found.f_blocks and found.f_namemax >= 255 else "wrong"


# ---- names -----------------------------------------------------------------------------------------


@operation("create only if it is not there")
def _exclusive(a: Path, b: Path) -> str:
    def create(place: Path, n: int) -> bool:
        try:
            os.close(os.open(place / f"lock{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    return OK if all(create(a, n) and not create(b, n) for n in range(10)) else "both created it"


@operation("rename over a file that is open")
def _rename_over(a: Path, b: Path) -> str:
    (a / "f").write_text("old")
    with (a / "f").open() as file:
        (a / "new").write_text("new")
        (a / "new").rename(a / "f")
        if file.read() != "old":
            return "the open file has changed"
    return OK if (b / "f").read_text() == "new" else "the other reads the old one"


@operation("remove a file that is open, read on")
def _unlink_open(a: Path, _b: Path) -> str:
    (a / "f").write_text("text")
    with (a / "f").open() as file:
        (a / "f").unlink()
        return OK if file.read() == "text" else "another content"


@operation("remove its directory then")
def _rmdir_open(a: Path, _b: Path) -> str:
    (a / "d").mkdir()
    (a / "d/f").write_text("text")
    with (a / "d/f").open():
        (a / "d/f").unlink()
        (a / "d").rmdir()
    return OK


@operation("rename a directory with what is in it")
def _rename_directory(a: Path, b: Path) -> str:
    (a / "d").mkdir()
    (a / "d/f").write_text("text")
    (a / "d").rename(a / "e")
    return OK if (b / "e/f").read_text() == "text" and not (a / "d").exists() else "not there"


@operation("rename, but not over another (renameat2)")
def _noreplace(a: Path, _b: Path) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    (a / "f").write_text("f")

    def rename(old: str, new: str) -> int:
        paths = (os.fsencode(a / old), os.fsencode(a / new))
        return 0 if libc.renameat2(-100, paths[0], -100, paths[1], 1) == 0 else ctypes.get_errno()

    if first := rename("f", "g"):
        raise OSError(first, "")
    (a / "f").write_text("again")
    return OK if rename("f", "g") == errno.EEXIST else "it was replaced"


@operation("hard link")
def _link(a: Path, _b: Path) -> str:
    (a / "f").write_text("text")
    os.link(a / "f", a / "g")
    one, two = (a / "f").stat(), (a / "g").stat()
    if one.st_nlink == 2 and one.st_ino == two.st_ino:
        return OK
    return f"{one.st_nlink} link, {'the same' if one.st_ino == two.st_ino else 'another'} inode"


@operation("names of 255 bytes, and that are no text")
def _names(a: Path, _b: Path) -> str:
    names = {b"x" * 255, b"\xe4\xf6 not UTF-8", "ä ö\n".encode(), b"Case", b"case"}
    for name in names:
        os.close(os.open(os.path.join(os.fsencode(a), name), os.O_CREAT | os.O_WRONLY, 0o600))
    return OK if set(os.listdir(os.fsencode(a))) == names else "others are listed"


@operation("a directory of 1000 files, removed while read")
def _many(a: Path, _b: Path) -> str:
    for n in range(1000):
        (a / f"file{n}").touch()
    if len(os.listdir(a)) != 1000:
        return f"{len(os.listdir(a))} are listed"
    for each in os.scandir(a):
        os.unlink(each)
    left = os.listdir(a)
    return OK if not left else f"{len(left)} are left"


@operation("numbers in a listing are those of the files")
def _inodes(a: Path, _b: Path) -> str:
    for n in range(5):
        (a / f"file{n}").touch()
    wrong = [each.name for each in os.scandir(a) if each.inode() != os.stat(each).st_ino]
    return OK if not wrong else "no"


@operation("a new file in the other's listing")
def _listing(a: Path, b: Path) -> str:
    os.listdir(a)
    (b / "new").touch()
    return _fresh(lambda: "new" in os.listdir(a))


@operation("a new file that was missed before")
def _negative(a: Path, b: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        (a / "new").stat()
    (b / "new").touch()
    return _fresh(lambda: (a / "new").exists())


def _fresh(seen: Callable[[], bool]) -> str:
    began = time.monotonic()
    while not seen():
        if time.monotonic() - began > FRESH:
            return f"not within {FRESH:.0f} s"
        time.sleep(0.1)
    took = time.monotonic() - began
    return OK if took < 0.1 else f"after {took:.0f} s" if took >= 1 else f"after {took:.1f} s"


@operation("a change by the other is told (inotify)")
def _inotify(a: Path, b: Path) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if libc.inotify_add_watch(watch, os.fsencode(a), 0x100) < 0:
            raise OSError(ctypes.get_errno(), "")
        (b / "new").touch()
        return OK if select.select([watch], [], [], 2)[0] else "no"
    finally:
        os.close(watch)


# ---- kinds of files --------------------------------------------------------------------------------


@operation("symbolic link")
def _symlink(a: Path, b: Path) -> str:
    (a / "f").write_text("text")
    (a / "s").symlink_to("f")
    return OK if os.readlink(b / "s") == "f" and (b / "s").read_text() == "text" else "leads elsewhere"


@operation("symbolic link to an absolute path")
def _absolute(a: Path, _b: Path) -> str:
    (a / "s").symlink_to("/etc/passwd")
    return OK if os.readlink(a / "s") == "/etc/passwd" and (a / "s").read_text() else "leads elsewhere"


@operation("symbolic link with '..'")
def _parent(a: Path, _b: Path) -> str:
    (a / "d").mkdir()
    (a / "f").write_text("text")
    (a / "d/s").symlink_to("../f")
    return OK if (a / "d/s").read_text() == "text" else "leads elsewhere"


@operation("socket of a program (gpg-agent, X)")
def _socket(a: Path, _b: Path) -> str:
    here = os.getcwd()
    # The path of a socket has 108 bytes.
    os.chdir(a)
    try:
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
            one.bind("s")
            one.listen()
            two.connect("s")
            two.send(b"hello")
            taken, _ = one.accept()
            with taken:
                return OK if taken.recv(9) == b"hello" else "another text"
    finally:
        os.chdir(here)


@operation("named pipe")
def _fifo(a: Path, _b: Path) -> str:
    os.mkfifo(a / "p")
    reader = os.open(a / "p", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(a / "p", os.O_WRONLY)
    try:
        os.write(writer, b"hello")
        return OK if os.read(reader, 9) == b"hello" else "another text"
    finally:
        os.close(reader)
        os.close(writer)


@operation("a file without a name (O_TMPFILE)")
def _tmpfile(a: Path, _b: Path) -> str:
    os.close(os.open(a, os.O_TMPFILE | os.O_RDWR, 0o600))
    return OK


@operation("start a program")
def _exec(a: Path, _b: Path) -> str:
    (a / "f").write_text("#!/bin/sh\nexit 7\n")
    (a / "f").chmod(0o755)
    return OK if os.waitstatus_to_exitcode(os.system(str(a / "f"))) == 7 else "it does not start"


# ---- attributes ------------------------------------------------------------------------------------


@operation("modes, the group's for new files too (g+s)")
def _modes(a: Path, b: Path) -> str:
    (a / "f").touch()
    for mode in (0o400, 0o755, 0o000, 0o640):
        (a / "f").chmod(mode)
        if (b / "f").stat().st_mode & 0o7777 != mode:
            return f"the other sees {(b / 'f').stat().st_mode & 0o7777:o} for {mode:o}"
    (a / "d").mkdir()
    (a / "d").chmod(0o2770)
    return OK if (a / "d").stat().st_mode & 0o7777 == 0o2770 else "g+s is lost"


@operation("write to a file that nobody may open to write")
def _read_only(a: Path, _b: Path) -> str:
    file = os.open(a / "f", os.O_CREAT | os.O_WRONLY, 0o400)
    try:
        os.write(file, b"text")
        os.fsync(file)
    finally:
        os.close(file)
    return OK if (a / "f").read_text() == "text" else "another content"


@operation("another group of the person's")
def _chgrp(a: Path, _b: Path) -> str:
    (a / "f").touch()
    for group in os.getgroups():
        os.chown(a / "f", -1, group)
        if (a / "f").stat().st_gid != group:
            return "it has another one"
    return OK


@operation("time of change, to the nanosecond")
def _mtime(a: Path, _b: Path) -> str:
    (a / "f").touch()
    wanted = 1_700_000_000_123_456_789
    os.utime(a / "f", ns=(wanted, wanted))
    found = (a / "f").stat().st_mtime_ns
    return OK if found == wanted else "whole seconds" if found % 10**9 == 0 else f"{found}"


@operation("time of change, before 1970")
def _old(a: Path, _b: Path) -> str:
    (a / "f").touch()
    os.utime(a / "f", (-86400, -86400))
    return OK if (a / "f").stat().st_mtime == -86400 else f"{(a / 'f').stat().st_mtime:.0f}"


@operation("attributes of a person's (user.*)")
def _xattr(a: Path, _b: Path) -> str:
    (a / "f").touch()
    os.setxattr(a / "f", "user.test", b"value")
    return OK if os.getxattr(a / "f", "user.test") == b"value" else "another value"


@operation("access list (POSIX)")
def _acl(a: Path, _b: Path) -> str:
    (a / "f").touch()
    nobody, me = 0xFFFFFFFF, os.getuid()
    # linux/posix_acl_xattr.h: version 2, then tag, permissions, number: owner, a user, group, mask, others.
    entries = ((1, 6, nobody), (2, 4, me), (4, 0, nobody), (16, 4, nobody), (32, 0, nobody))
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    os.setxattr(a / "f", "system.posix_acl_access", data)
    return OK


# ---- locks -----------------------------------------------------------------------------------------


@operation("flock, two programs of one client")
def _flock_one(a: Path, _b: Path) -> str:
    return _locked(a, a, _flock)


@operation("flock, both")
def _flock_both(a: Path, b: Path) -> str:
    return _locked(a, b, _flock)


@operation("fcntl, both")
def _fcntl_both(a: Path, b: Path) -> str:
    return _locked(a, b, _lockf)


def _flock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lockf(file: int) -> None:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(a: Path, b: Path, lock: Callable[[int], None]) -> str:
    (a / "f").touch()
    with (a / "f").open("r+") as file:
        lock(file.fileno())

        def take() -> None:
            with (b / "f").open("r+") as other:
                lock(other.fileno())

        return OK if _forked(take) != 0 else "not excluded"


@operation("profile lock of a browser")
def _profile(a: Path, b: Path) -> str:
    # Firefox: a link that names host and process, and fcntl on .parentlock. Chromium: a link, too, and one to
    # a socket in /tmp.
    (a / "lock").symlink_to("127.0.1.1:+4711")
    (a / ".parentlock").touch()
    (a / "SingletonLock").symlink_to("pc1-4711")
    (a / "SingletonSocket").symlink_to("/tmp/org.chromium.x/SingletonSocket")
    with contextlib.suppress(FileExistsError):
        (b / "SingletonLock").symlink_to("pc2-4712")
        return "both have it"
    with (a / ".parentlock").open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return OK if os.readlink(b / "SingletonLock") == "pc1-4711" else "the other sees another one"


# ---- databases -------------------------------------------------------------------------------------


@operation("sqlite with a journal, one client")
def _sqlite(a: Path, _b: Path) -> str:
    return _database("delete", a)


@operation("sqlite with a log (WAL), one client")
def _sqlite_wal(a: Path, _b: Path) -> str:
    return _database("wal", a, a)


@operation("sqlite with a journal, both at once")
def _sqlite_both(a: Path, b: Path) -> str:
    return _database("delete", a, b)


def _database(mode: str, *places: Path) -> str:
    with contextlib.closing(sqlite3.connect(places[0] / "db")) as base:
        found = base.execute(f"pragma journal_mode={mode}").fetchone()[0]
        if found != mode:
            return f"only {found!r}"
        base.execute("create table t (writer, number)")
        base.commit()

    def fill(place: Path, writer: int) -> None:
        with contextlib.closing(sqlite3.connect(place / "db", timeout=60)) as base:
            for number in range(_ROWS):
                with base:
                    base.execute("insert into t values (?, ?)", (writer, number))

    works = [lambda place=place, n=n: fill(place, n) for n, place in enumerate(places)]
    failed = _together(*works)
    with contextlib.closing(sqlite3.connect(places[0] / "db")) as base:
        there = base.execute("select count(*) from t").fetchone()[0]
        sound = base.execute("pragma integrity_check").fetchone()[0]
    if failed == 0 and there == _ROWS * len(places) and sound == "ok":
        return OK
    return f"{there} of {_ROWS * len(places)} there, {failed} writers failed" + (
        "" if sound == "ok" else ", damaged"
    )


# ---- running them ----------------------------------------------------------------------------------


def _forked(work: Callable[[], object]) -> int:
    """Run something in another process; return 0 if it raised nothing."""
    if (pid := os.fork()) == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _together(*works: Callable[[], object]) -> int:
    """Run all at once, each in a process; return how many failed."""
    pids = []
    for work in works:
        if (pid := os.fork()) == 0:
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


@contextlib.contextmanager
def _own_directory(a: Path, b: Path, number: int) -> Iterator[tuple[Path, Path]]:
    name = f"battery-{os.getpid()}-{number}"
    (a / name).mkdir()
    # What another client sees of a new directory may come late, which is an operation of its own.
    deadline = time.monotonic() + FRESH
    while not (b / name).is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield a / name, b / name


def run(a: Path, b: Path) -> Iterator[tuple[str, str]]:
    """Try each operation in a new directory of both, and yield its name and how it went."""
    for number, (name, work) in enumerate(OPERATIONS.items()):
        with _own_directory(a, b, number) as places:
            try:
                yield name, work(*places)
            except OSError as error:
                yield name, errno.errorcode.get(error.errno or 0, str(error))
            except sqlite3.Error as error:
                yield name, str(error)


def table(columns: dict[str, dict[str, str]]) -> str:
    """Return a Markdown table of several runs by their names."""
    lines = [f"| operation | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in OPERATIONS:
        cells = (column.get(name, "-") for column in columns.values())
        lines.append(f"| {name} | {' | '.join(each if each == OK else f'**{each}**' for each in cells)} |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    match words:
        case ["run", a, b, *options]:
            found = {}
            for name, result in run(Path(a).resolve(), Path(b).resolve()):
                found[name] = result
                if "--json" not in options:
                    print(f"{name:48} {result}", flush=True)
            if "--json" in options:
                print(json.dumps(found, indent=1))
            return 0
        case ["table", *files] if files:
            pairs = (each.partition("=") for each in files)
            print(table({name: json.loads(Path(file).read_text()) for name, _, file in pairs}))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

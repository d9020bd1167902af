"""How many inotify instances all containers together may have: the kernel's default is enough for four.

They are root's on this machine, whichever container they are in, and programs that get none don't start. Each
run raises the limit; the last one gives it back.
"""

import sys
from pathlib import Path

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
WANTED = 1024
# The limit as it was before the first run; beside the runs' directories.
_BEFORE = "inotify-instances"


def raise_limit(runs: Path, setting: Path = SETTING) -> None:
    """Raise the limit if it is low, and keep the old one in ``runs``. Where that can't be, say so.

    The caller holds the lock of all runs.
    """
    limit = setting.read_text().strip()
    if int(limit) >= WANTED:
        return
    try:
        setting.write_text(f"{WANTED}\n")
    except OSError as error:
        print(
            f"lab: {setting} is {limit} and can't be raised here ({error.strerror}): "
            "more than three servers at a time may fail to start. "
            f"On the host, 'sysctl fs.inotify.max_user_instances={WANTED}' helps.",
            file=sys.stderr,
        )
        return
    runs.mkdir(parents=True, exist_ok=True)
    (runs / _BEFORE).write_text(f"{limit}\n")


def give_back(runs: Path, others: bool, setting: Path = SETTING) -> None:
    """Put the limit back as it was, unless there are ``others``. The caller holds the lock of all runs."""
    kept = runs / _BEFORE
    if others or not kept.exists():
        return
    setting.write_text(kept.read_text())
    kept.unlink()

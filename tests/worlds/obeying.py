"""A client's own loop as a process of this machine, which only writes down what it would do to it."""

import shutil
from pathlib import Path

from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
# Where the loop begins; what is defined before that counts.
_BEGINNING = 'case "$base" in'
_INSTEAD = """
take() { :; }
show_message() { printf 'message %s\\n' "$1" >>"$store/obeyed"; }
sessions() { printf '0 tty root\\n1000 x11 ada\\n1000 tty ada\\n1001 tty bob\\n'; }
to_logind() {
    if [ "$1" = call ]; then echo "$*" >>"$store/obeyed"; else cat "$store/inhibited"; fi
}
systemctl() { echo "systemctl $*" >>"$store/obeyed"; }
"""


def make_loop(folder: Path, signer: str, *, base: str, mac: str, address: str) -> Path:
    """Write the script ``live`` into a folder, and return the directory ``store`` that it uses.

    ``signer`` is the public key whose orders count.
    """
    store = folder / "store"
    for name in ("news", "login"):
        (store / name).mkdir(parents=True)
    (store / "news/allowed_signers").write_text(f'ltsp-server namespaces="ltspd" {signer}')
    (store / "inhibited").write_text('s ""\n')
    (store / "obeyed").touch()
    script = f"base={base} server={address} address={address} mac={mac} END_SESSIONS=0\n"
    script += f"store={store} busybox={shutil.which('busybox')}\n"
    for name in ("boot/report.sh", "live/accounts.sh", "live/orders.sh", "live/live.sh"):
        script += (CLIENT / name).read_text()
    functions, beginning, loop = script.rpartition(_BEGINNING)
    # Accounts of a server must not come to this machine.
    assert "take()" in functions
    assert "live()" in functions
    assert "()" not in loop
    (folder / "live").write_text(functions + _INSTEAD + beginning + loop)
    return store

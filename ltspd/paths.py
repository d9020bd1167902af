"""All locations, below one root, so that tests run the whole daemon in a temporary directory. Pure."""

from dataclasses import dataclass
from pathlib import Path

# A checkout has client/ next to the package; an installation has it below /usr/share.
_CHECKOUT = Path(__file__).resolve().parents[1] / "client"
_INSTALLED = Path("/usr/share/ltspd/client")


def client_home() -> Path:
    """Return where the client's files are on this server."""
    return _CHECKOUT if _CHECKOUT.is_dir() else _INSTALLED


@dataclass(frozen=True, slots=True)
class Paths:
    """Every location the product reads or writes. ``root`` is ``/`` on a real server."""

    root: Path = Path("/")
    base: str = "/srv/ltsp"
    tftp: str = "/srv/tftp/ltsp"

    def at(self, absolute: str) -> Path:
        """Return where an absolute path of the served system lies below ``root``."""
        return self.root / absolute.lstrip("/")

    @property
    def etc(self) -> Path:
        """Administrators' files: ``ltsp.conf``, ``image.excludes``."""
        return self.at("/etc/ltsp")

    @property
    def conf(self) -> Path:
        """The one configuration file."""
        return self.etc / "ltsp.conf"

    @property
    def base_dir(self) -> Path:
        """LTSP's BASE_DIR: chroot sources, VM disks and ``images/``."""
        return self.at(self.base)

    @property
    def images(self) -> Path:
        """The store of published images."""
        return self.base_dir / "images"

    @property
    def tftp_root(self) -> Path:
        """The directory that TFTP serves; ``tftp_dir`` lies inside it."""
        return self.tftp_dir.parent

    @property
    def tftp_dir(self) -> Path:
        """LTSP's TFTP_DIR plus ``ltsp``: boot programs, menu, add-on initrds."""
        return self.at(self.tftp)

    @property
    def state(self) -> Path:
        """What must survive a restart: digests of the files last written."""
        return self.at("/var/lib/ltspd")

    @property
    def silence(self) -> Path:
        """While this file is there, machines that boot get no answer."""
        return self.state / "serving-off"

    @property
    def outputs(self) -> Path:
        """Generated configuration of our own service units."""
        return self.state / "outputs"

    @property
    def keys(self) -> Path:
        """The server's own keys, for root alone: ``login`` is its host key, ``orders`` signs for clients."""
        return self.state / "keys"

    @property
    def orders(self) -> Path:
        """Orders to clients as they are signed; the gateway serves them."""
        return self.state / "orders"

    @property
    def run(self) -> Path:
        """What may vanish at reboot: locks, work directories."""
        return self.at("/run/ltspd")

    @property
    def share(self) -> Path:
        """Read-only data of the product: the client's init, the D-Bus contract."""
        return self.at("/usr/share/ltspd")

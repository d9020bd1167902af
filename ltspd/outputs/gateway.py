"""The gateway's table: every URL that exists, and the file behind it. Pure."""

from hashlib import sha256
from ipaddress import IPv4Address

from ltspd.clients.table import Order, Orders, Table, dump
from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import count, port
from ltspd.model.desired import Store
from ltspd.model.menu import GRUB
from ltspd.model.order import Verb
from ltspd.model.output import File, Output, Unit
from ltspd.outputs import swap_nbd
from ltspd.outputs.documents import DIRECTORY
from ltspd.outputs.world import World

ORDER = 50
PATH = "/var/lib/ltspd/outputs/gateway.json"
# It has the hash of the menu's password. The directory gives it the gateway's group (systemd/ltspd.tmpfiles).
MODE = 0o640
BASE = "/ltsp"
UNIT = "ltspd-gateway.service"
UNITS = (UNIT,)

HTTP_PORT = Parameter("HTTP_PORT", port(), "80", SERVER, "TCP port of the HTTP service for clients")
CONNECTIONS = Parameter(
    "HTTP_CONNECTIONS", count(), "256", SERVER, "HTTP connections that one address may have"
)
METRICS_PORT = Parameter(
    "METRICS_PORT", port(or_none=True), "10819", SERVER, "Port of metrics on 127.0.0.1; 0: none"
)


def base(world: World, address: IPv4Address) -> str:
    """Return the URL below which clients that reach this address of ours find everything."""
    port = world.settings[HTTP_PORT]
    return f"http://{address}{'' if port == 80 else f':{port}'}{BASE}"


def render(world: World) -> Output:
    """Return the output that serves boot files and layers over HTTP."""
    settings, served = world.settings, world.desired.network.served
    addresses = tuple(sorted({str(link.address.ip) for link in served}))
    networks = tuple(sorted(map(str, world.desired.network.networks)))
    table = Table(
        addresses,
        settings[HTTP_PORT],
        _files(world),
        networks,
        settings[METRICS_PORT],
        settings[CONNECTIONS],
        world.desired.menu.offer if world.desired.network.serving else None,
        Orders(_revision(world), _orders(world), _documents(world)),
        {
            each.id: tuple((target.mac, target.delay) for target in each.targets)
            for each in world.orders
            if each.verb is Verb.WAKE
        },
    )
    return Output(
        name="http",
        files=(File(PATH, dump(table), MODE),),
        activation=Unit(UNIT, reload=True),
        wanted=bool(addresses),
        ports=(("tcp", settings[HTTP_PORT]),),
        port_setting=HTTP_PORT.name,
    )


def _revision(world: World) -> str:
    """Return what changes with all that clients get; some of it comes only when they boot."""
    return sha256(world.add_ons.get("ltsp.img", b"")).hexdigest()[:16]


def _orders(world: World) -> dict[str, Order]:
    """Return the orders to each client, in their order; its revision is the last one's id."""
    found: dict[str, list[str]] = {}
    for order in (each for each in world.orders if each.verb is not Verb.WAKE):
        for target in order.targets:
            found.setdefault(target.mac, []).append(order.id)
    return {mac: Order(ids[-1], " ".join(ids)) for mac, ids in found.items()}


def _documents(world: World) -> dict[str, str]:
    """Return the digests of the signed documents, by which clients know whether they have them."""
    return {
        name: sha256(data).hexdigest() for name, data in world.signed.items() if f"{name}.sig" in world.signed
    }


def _files(world: World) -> dict[str, str]:
    store = world.desired.store
    # What firmware asks for, behind another DHCP server, too.
    boots = world.boot_programs if world.desired.network.serving else {}
    menu = ("ltsp.ipxe",) if world.desired.network.serving else ()
    files = {f"{BASE}/{name}": f"{world.paths.tftp}/{name}" for name in (*menu, *world.add_ons)}
    if GRUB in boots:
        # GRUB that came by HTTP asks for it here, too: in the root, whatever it is told.
        files["/grub/grub.cfg"] = f"{world.paths.tftp.rsplit('/', 1)[0]}/grub/grub.cfg"
    files |= {f"{BASE}/{name}": f"{DIRECTORY}/{name}" for name in world.signed}
    if world.desired.swap:
        files[f"{BASE}/nbd-client"] = swap_nbd.PROGRAM
    for name, path in boots.items():
        files[f"{BASE}/{name}"] = path
    for order in world.orders:
        for name in (order.id, f"{order.id}.sig") if order.verb is not Verb.WAKE else ():
            files[f"{BASE}/orders/{name}"] = f"{world.paths.orders}/{name}"
    for image in store.images:
        for generation in image.generations:
            for layer in generation.layers:
                _add(files, store, f"{image.name}/layers/{layer.file_name}")
            for name in ("vmlinuz", "initrd.img"):
                _add(files, store, f"{image.name}/generations/{generation.id}/{name}")
    return files


def _add(files: dict[str, str], store: Store, relative: str) -> None:
    files[f"{BASE}/images/{relative}"] = f"{store.path}/{relative}"

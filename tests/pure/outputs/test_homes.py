"""Homes by NFS: who exports them, and to whom."""

from dataclasses import replace

from ltspd.model.facts import Facts, HomeDirectory
from ltspd.model.output import Output
from ltspd.outputs import outputs
from ltspd.outputs.nfs_kernel import FORMER_MOST
from tests.worlds.planning import conf, link, programs, world

HOMES = HomeDirectory("/home")
SERVED = (link("eth0", "192.168.67.1/24"),)


def _rendered(*here: str, kernel: bool = False, homes: HomeDirectory = HOMES) -> dict[str, Output]:
    facts = Facts(links=SERVED, programs=programs(*here), kernel_nfsd=kernel, homes=homes)
    return {each.name: each for each in outputs(world(conf("[server]\nNFS_HOME=1\n"), facts))}


def _exports(homes: HomeDirectory) -> str:
    return _rendered("exportfs", kernel=True, homes=homes)["nfs"].files[0].data.decode()


def test_what_the_administrator_exports_is_not_exported_twice() -> None:
    assert "\n/home 192.168.67.0/24(rw," in _exports(HOMES)
    assert "/home" not in _exports(HomeDirectory("/home", exported=True))


def test_only_homes_on_a_file_system_of_their_own_need_no_check_of_the_subtree() -> None:
    assert ",subtree_check)" in _exports(HOMES)
    assert _exports(HomeDirectory("/home", whole=True)).count("no_subtree_check") == 2


def test_without_an_nfs_server_the_output_says_what_to_install() -> None:
    found = _rendered("nbd-server")["homes"]
    assert not found.needed
    assert found.wanted
    assert "install nfs-ganesha-vfs" in found.missing


def test_images_are_exported_the_same_with_homes_and_without() -> None:
    facts = Facts(links=SERVED, programs=programs("ganesha.nfsd"))
    without = {each.name: each for each in outputs(world(conf(), facts))}
    assert "homes" not in without
    assert _rendered("ganesha.nfsd")["nfs"] == without["nfs"]


def test_nobody_but_the_served_networks_can_write() -> None:
    found = _rendered("ganesha.nfsd", homes=HomeDirectory("/srv/homes"))["homes"]
    (file,), (place,) = found.files, found.links
    export = file.data.decode().partition("EXPORT {")[2]
    assert '\n    Path = "/srv/homes";\n' in export
    assert "\n    Access_Type = None;\n    Squash = Root_Squash;\n" in export
    assert "CLIENT {\n        Clients = 192.168.67.0/24;\n        Access_Type = RW;\n" in export
    assert place.target == "/srv/homes"
    assert found.ports == (("tcp", 2050),)


def test_who_has_an_export_keeps_it_when_the_address_is_another_one_or_none() -> None:
    one, other = "192.168.67.0/24", "10.1.2.0/24"
    moved = Facts(
        links=(link("eth0", "10.1.2.3/24"),),
        programs=programs("exportfs"),
        kernel_nfsd=True,
        homes=HOMES,
        exported=frozenset({one}),
        exported_homes=frozenset({one}),
        boot="5f-a",
    )
    config = conf("[server]\nNFS_HOME=1\nDHCP_LINKS=eth0=proxy\n")
    for facts, served in ((moved, {one, other}), (replace(moved, links=()), {one})):
        (nfs,) = (each for each in outputs(world(config, facts)) if each.name == "nfs")
        assert nfs.wanted
        said, images, people = nfs.files[0].data.decode().splitlines()
        assert said == "# Boot 5f-a"
        assert {each.partition("(")[0] for each in images.split()[1:]} == served
        assert {each.partition("(")[0] for each in people.split()[1:]} == served
    # The server was restarted: images are no secret, homes are for who is here now.
    facts = replace(moved, exported_homes=frozenset())
    (nfs,) = (each for each in outputs(world(config, facts)) if each.name == "nfs")
    _, images, people = nfs.files[0].data.decode().splitlines()
    assert one in images
    assert one not in people
    # A DHCP server that gives this one an address of another network each minute doesn't fill the file.
    many = frozenset(f"172.16.{number}.0/24" for number in range(256))
    facts = replace(moved, exported=many, exported_homes=many)
    (nfs,) = (each for each in outputs(world(config, facts)) if each.name == "nfs")
    _, images, people = nfs.files[0].data.decode().splitlines()
    for line in (images, people):
        assert other in line
        assert line.count("172.16.") == FORMER_MOST

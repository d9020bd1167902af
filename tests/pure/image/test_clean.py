"""Account databases: people and hashes leave, system accounts stay whole."""

from hypothesis import given
from hypothesis import strategies as st

from ltspd.image.source.clean import Accounts, clean_accounts, replacements

HASH = b"$6$salt$hash"
SOURCE = Accounts(
    passwd=(
        b"root:x:0:0:root:/root:/bin/bash\n"
        b"_apt:x:100:65534::/nonexistent:/usr/sbin/nologin\n"
        b"old:" + HASH + b":101:1005::/:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        b"libvirt-qemu:x:64055:103::/var/lib/libvirt:/usr/sbin/nologin\n"
        b"ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n"
        b"ldap:x:200001:200001::/home/ldap:/bin/bash\n"
        b"\xff\xfe:x:1001:1001::/:/bin/sh\n"
    ),
    group=(
        b"root:x:0:\nsudo:" + HASH + b":27:ann,libvirt-qemu\nold:x:1005:ann\n"
        b"ann:x:1000:\nteachers:x:1100:ann\nnogroup:x:65534:\n"
    ),
    shadow=(
        b"root:" + HASH + b":19000:0:99999:7:::\n_apt:*:19000::::::\nold:!" + HASH + b":1::::::\n"
        b"nobody::1::::::\nann:" + HASH + b":19000:0:99999:7:::\ngone:" + HASH + b":1::::::\n"
    ),
    gshadow=b"root:*::\nsudo:" + HASH + b":ann:ann,libvirt-qemu\nteachers:!:ann:ann\n",
    subuid=b"ann:100000:65536\nold:165536:65536\n",
    subgid=b"ann:100000:65536\n",
)


def test_people_leave_every_database() -> None:
    new = clean_accounts(SOURCE)
    names = [line.split(b":")[0] for line in (new.passwd or b"").splitlines()]
    assert names == [b"root", b"_apt", b"old", b"nobody", b"libvirt-qemu"]
    assert new.group == b"root:x:0:\nsudo:*:27:libvirt-qemu\nold:x:1005:\nnogroup:x:65534:\n"
    assert new.gshadow == b"root:*::\nsudo:*::libvirt-qemu\n"
    assert (new.subuid, new.subgid) == (b"old:165536:65536\n", b"")


def test_no_hash_survives_and_locked_stays_locked() -> None:
    new = clean_accounts(SOURCE)
    assert new.shadow == (b"root:*:19000:0:99999:7:::\n_apt:*:19000::::::\nold:!:1::::::\nnobody::1::::::\n")
    assert b"old:*:101:" in (new.passwd or b"")


def test_missing_databases_stay_missing() -> None:
    new = replacements({"etc/passwd": b"root:x:0:0::/root:/bin/sh\n"})
    assert set(new) == {"etc/passwd", "etc/fstab", "etc/machine-id"}
    assert new["etc/machine-id"] == b""


@given(st.lists(st.binary(max_size=60), max_size=12), st.sampled_from([b"", b"!", b"!!", b"*", b"x"]))
def test_nothing_of_a_hash_comes_through_garbage(lines: list[bytes], prefix: bytes) -> None:
    marker = b"HASHHASH"
    secret = b"\n".join(line + b":" + prefix + marker + b":0:0:a:b:c" for line in lines)
    new = clean_accounts(Accounts(secret, secret, secret, secret))
    for text in (new.passwd, new.group, new.shadow, new.gshadow):
        for line in (text or b"").split(b"\n")[:-1]:
            assert not line.split(b":")[1].endswith(marker)

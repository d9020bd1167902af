"""LTSP's syntax for image sources: accepted where it means something, refused with a reason elsewhere."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.disk.words import Word, image_name, parse
from ltspd.errors import InvalidOption


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/", Word("/")),
        ("x86_64", Word("x86_64")),
        ("/vm/client-flat.vmdk,partition=2", Word("/vm/client-flat.vmdk", 2)),
        ("disk.img,fstype=ext4,loop,ro,noload", Word("disk.img")),
        ("/,,/boot,subdir=boot,,/opt,subdir=opt", Word("/")),
        ("/,,/boot/efi,subdir=boot/efi", Word("/")),
        ("x.img,partition=1,,x.img,partition=2,subdir=boot", Word("x.img", 1)),
        ("u.iso,fstype=iso9660,loop,ro,,casper/filesystem.squashfs,fstype=squashfs,loop,ro", Word("u.iso")),
    ],
)
def test_what_means_something(word: str, expected: Word) -> None:
    assert parse(word) == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (",", "without a name"),
        ("x,,", "without a name"),
        ("x,rw", "never written"),
        ("x,offset=1048576", "option 'offset=1048576'"),
        ("x,loop=/dev/loop1", "not its form"),
        ("x,partition", "not its form"),
        ("x,partition=two", "numbers from 1"),
        ("x,partition=0", "numbers from 1"),
        ("x,subdir=boot", "is its root"),
        ("x,,y", "both be the root"),
        ("x,,/boot,subdir=boot", "'/boot' can't become /boot of 'x'"),
        ("x.img,,y.img,partition=1,subdir=usr", "'y.img' can't become /usr"),
        ("/,,/data,subdir=opt", "nothing else can become its /opt"),
        ("/,,/x/../etc/../..,subdir=..", "'/' already has"),
        ("a\nb,ro", "unprintable"),
        (",,".join("x" * 20), "can't be one"),
    ],
)
def test_what_does_not(word: str, reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        parse(word)


@given(st.text(alphabet="ab/.,=12partionfsye \n", max_size=60))
def test_any_word_is_understood_or_a_named_error(word: str) -> None:
    with suppress(InvalidOption):
        assert parse(word).image == word.split(",")[0]


def test_names() -> None:
    assert image_name("/vm/client-flat.vmdk") == "client"
    assert image_name("debian.vmdk.img") == "debian"
    assert image_name("/srv/ltsp/x86_64.img") == "x86_64"
    assert image_name("12.5.0.iso") == "12.5.0"
    assert image_name(".img") == ".img"

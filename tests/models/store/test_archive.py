"""Archives that are damaged, encrypted, or larger than they seem."""

import io
import stat
import struct
import zipfile

import pytest

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.store import archive
from nlvid_cli.models.store.archive import read_member


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out" / "member"


@pytest.fixture
def save(tmp_path, target):
    target.parent.mkdir()

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def zip_of(members, method=zipfile.ZIP_DEFLATED):
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return output.getvalue()


@pytest.mark.parametrize("name", ["a.tar.gz", "a.whl"])
def test_an_archive_bomb_ends_at_the_limit(save, target, tools, monkeypatch, name):
    bomb = {"w": b"\0" * 3_000_000}
    path = save(name, tools.tar(bomb) if name.endswith("gz") else zip_of(bomb))
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 2_000_000)
    with pytest.raises(ModelFileError, match="unpacks"):
        read_member(path, "w", target, None)
    assert list(target.parent.iterdir()) == []


def test_a_zip_with_a_false_size_ends_at_the_limit(save, target, monkeypatch):
    data = bytearray(zip_of({"w": b"\0" * 3_000_000}))
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 1000)  # the unpacked size in the directory
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 2_000_000)
    with pytest.raises(ModelFileError):
        read_member(save("a.whl", bytes(data)), "w", target, None)
    assert list(target.parent.iterdir()) == []


def test_members_before_the_wanted_one_count_towards_the_limit(save, target, tools, monkeypatch):
    path = save("a.tar.gz", tools.tar({"bomb": b"\0" * 3_000_000, "w": b"x"}))
    read_member(path, "w", target, None)
    assert target.read_bytes() == b"x"
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(ModelFileError, match="unpacks"):
        read_member(path, "w", target, None)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.whl"])
def test_every_truncation_and_damage_is_an_error(save, target, tools, name):
    members = {"w": bytes(range(256)) * 20}
    data = tools.tar(members) if name.endswith("gz") else zip_of(members)
    damaged = [data[:length] for length in range(0, len(data) - 700, 7)]
    damaged += [data[:50] + b"\xff" * 20 + data[70:], b""]
    for one in damaged:
        with pytest.raises(ModelFileError):
            read_member(save(name, one), "w", target, None)
    assert list(target.parent.iterdir()) == []


def test_a_link_in_a_zip_is_refused(save, target):
    entry = zipfile.ZipInfo("w")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ModelFileError, match="link"):
        read_member(save("a.whl", zip_of({entry: "/etc/passwd"})), "w", target, None)
    with pytest.raises(ModelFileError, match="link"):
        read_member(save("a.whl", zip_of({"d/": ""})), "d/", target, None)


def test_a_zip_with_a_password_is_an_error(save, target):
    data = bytearray(zip_of({"w": b"x" * 100}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag "encrypted"
    with pytest.raises(ModelFileError, match="password"):
        read_member(save("a.whl", bytes(data)), "w", target, None)

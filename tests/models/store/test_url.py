"""Files behind plain addresses."""

import errno
import gzip
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.errors import ChecksumMismatch, ModelFileError, ModelUnavailable
from nlvid_cli.models.find import find_file
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.models.store import download, session
from nlvid_cli.models.store.cache import cached_path, slot_of
from tests.models.conftest import LocalServer

PATH = "/models/weights%20one.ckpt"


@pytest.fixture
def at_url(server, tools, make_card, foreign_file):
    """Publish a file at an address, and return its card."""

    def put(data=foreign_file, sums=None, path=PATH, **fields):
        server.pages[path] = tools.Page(data)
        sums = {"sha256": tools.sha256(data)} if sums is None else sums
        return make_card({"kind": "url", "url": server.url + path} | sums, **fields)

    return put


def test_a_foreign_file_is_converted(at_url, cache, small_tensors):
    path = find_file(at_url())
    assert open_checkpoint(path)[1].keys() == small_tensors.keys()
    assert list((cache / "downloads").iterdir()) == []


def test_an_nlvid_file_is_kept_unchanged(at_url, foreign_file, server):
    published = find_file(at_url()).read_bytes()
    card = at_url(published, format="safetensors", name="ready.test")
    path = find_file(card)
    assert path == slot_of(card).ready
    assert path.read_bytes() == published


def test_a_safetensors_file_without_a_card_is_refused(at_url, cache):
    from safetensors.numpy import save

    with pytest.raises(ModelFileError, match="card"):
        find_file(at_url(save({}), format="safetensors"))
    assert list(cache.rglob("*.safetensors*")) == []


def test_a_wrong_file_is_not_used(at_url, cache, server):
    with pytest.raises(ChecksumMismatch, match=server.host):
        find_file(at_url(sums={"sha256": "0" * 64}))
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert len(server.ranges(PATH)) == 1  # a whole file that is wrong is not fetched twice


KINDS = {
    "sha256": ("sha256", lambda data: hashlib.sha256(data).hexdigest()),
    "sha256_prefix": ("a sha256 that begins with", lambda data: hashlib.sha256(data).hexdigest()[:8]),
    "sha1": ("sha1", lambda data: hashlib.sha1(data).hexdigest()),
}
"""Each kind of published checksum: its name in messages, and a function that computes it."""


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_every_kind_of_checksum_is_verified(at_url, server, foreign_file, cache, kind):
    words, make_sum = KINDS[kind]
    right, wrong = make_sum(foreign_file), make_sum(b"another file")
    assert find_file(at_url(sums={kind: right})).is_file()
    asked = len(server.ranges(PATH))
    with pytest.raises(ChecksumMismatch, match=f"{server.host} .*expected {words} {wrong}, got {right}"):
        find_file(at_url(sums={kind: wrong}, name="wrong.test"))
    assert len(server.ranges(PATH)) == asked + 1
    assert list((cache / "downloads").iterdir()) == []


def test_all_published_checksums_must_fit(at_url, foreign_file):
    sums = {name: make_sum(foreign_file) for name, (_, make_sum) in KINDS.items()}
    assert find_file(at_url(sums=sums)).is_file()
    for name in KINDS:
        with pytest.raises(ChecksumMismatch, match=f"expected {KINDS[name][0]} {'0' * len(sums[name])}"):
            find_file(at_url(sums=sums | {name: "0" * len(sums[name])}, name=f"{name}.test"))


@pytest.fixture
def long_file(foreign_file):
    """A checkpoint with bytes after the end of the pickle, which are not read."""
    return foreign_file + bytes(100_000)


def test_an_interrupted_download_with_any_checksum_is_resumed(at_url, server, long_file, kind):
    card = at_url(long_file, sums={kind: KINDS[kind][1](long_file)})
    server.pages[PATH].faults = [("cut", 50_000)] + [("cut", 0)] * 3
    with pytest.raises(ModelUnavailable, match="49152 bytes arrived"):
        find_file(card)
    find_file(card)
    assert server.ranges(PATH)[-1] == "bytes=49152-"


def test_a_wrong_part_with_any_checksum_is_fetched_again_once(at_url, server, long_file, cache, kind, notes):
    card = at_url(long_file, sums={kind: KINDS[kind][1](long_file)})
    part = slot_of(card).download("weights one.ckpt.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 40_000)
    notes.clear()
    assert find_file(card).is_file()
    assert len(notes) == 1
    assert "starting again" in notes[0]
    assert server.ranges(PATH) == ["bytes=40000-", None]
    other = at_url(long_file, sums={kind: KINDS[kind][1](b"another file")}, name="wrong.test")
    slot_of(other).download("weights one.ckpt.part").write_bytes(long_file[:40_000])
    with pytest.raises(ChecksumMismatch):
        find_file(other)
    assert server.ranges(PATH)[2:] == ["bytes=40000-", None]
    assert list((cache / "downloads").iterdir()) == []


def test_models_with_different_checksums_never_share_a_file(at_url):
    sums = ({"sha256": "1" * 64}, {"sha256_prefix": "1" * 8}, {"sha1": "1" * 40}, {"sha1": "2" * 40}, {})
    assert len({slot_of(at_url(sums=one)).key for one in sums}) == len(sums)
    same = {"sha1": "1" * 40}
    assert slot_of(at_url(sums=same)) == slot_of(at_url(sums=same, path="/mirror"))


def test_a_file_without_a_checksum_is_used_and_its_sha256_reported_once(at_url, tools, foreign_file, notes):
    notes.clear()
    card = at_url(sums={})
    find_file(card)
    find_file(card)
    assert len(notes) == 1
    assert tools.sha256(foreign_file) in notes[0]


def test_a_download_without_a_checksum_is_not_resumed_by_the_next_run(at_url, server, foreign_file):
    card = at_url(foreign_file * 10, sums={})
    server.pages[PATH].faults = [("cut", 50_000)] + [("cut", 0)] * 3
    with pytest.raises(ModelUnavailable):
        find_file(card)
    server.pages[PATH].body = foreign_file + b"what follows the pickle's end" * 10_000
    assert find_file(card).is_file()
    assert server.ranges(PATH)[-1] is None


@pytest.mark.parametrize(
    ("etags", "resumes"),
    [(('"1"', '"1"'), True), (('"1"', '"2"'), True), (('W/"1"', 'W/"1"'), False), ((None, None), False)],
)
def test_two_versions_without_a_checksum_are_never_pieced_together(at_url, server, foreign_file, etags, resumes, notes):
    old, new = foreign_file + b"1" * 100_000, foreign_file + b"2" * 100_000
    card = at_url(old, sums={})
    page = server.pages[PATH]

    def change():
        page.body = old if etags[0] == etags[1] and resumes else new
        page.headers = {"ETag": etags[1]} if etags[1] else {}

    page.headers = {"ETag": etags[0]} if etags[0] else {}
    page.faults = [("cut", 50_000), change]
    notes.clear()
    find_file(card)
    assert server.ranges(PATH) == [None, "bytes=49152-" if resumes else None]
    assert notes[0].endswith(hashlib.sha256(page.body).hexdigest())


@pytest.mark.parametrize("url", ["http://example.org/weights", "http://127.0.0.1.example.org/weights"])
def test_plain_http_is_refused_for_other_machines(make_card, url):
    with pytest.raises(ModelUnavailable, match="plain http"):
        find_file(make_card({"kind": "url", "url": url}))


@pytest.mark.parametrize("leads_back", [False, True])
def test_a_redirection_to_plain_http_is_not_followed(at_url, server, monkeypatch, tools, foreign_file, leads_back):
    card = at_url()
    monkeypatch.setenv("NO_PROXY", "*")
    other = f"127.1:{server.host.rpartition(':')[2]}"  # the same server, by a name that is not among the allowed
    back = {"Location": f"{server.url}/file"} if leads_back else {}
    server.pages[PATH] = tools.Page(status=302, headers={"Location": f"http://{other}/elsewhere"})
    server.pages["/elsewhere"] = tools.Page(foreign_file, 302 if leads_back else 200, back)
    server.pages["/file"] = tools.Page(foreign_file)
    with pytest.raises(ModelUnavailable, match=f"{other}: plain http"):
        find_file(card)
    assert [path for _, path, _ in server.requests] == [PATH]
    assert cached_path(card) is None


@pytest.mark.parametrize(("status", "words"), [(404, "not found"), (403, "forbidden"), (500, "has a problem")])
def test_a_refusal_is_explained(at_url, server, status, words):
    card = at_url()
    server.pages[PATH].status = status
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: .*{words}.*{status}"):
        find_file(card)


def test_a_host_without_a_server_is_reported(make_card):
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9: connection refused"):
        find_file(make_card({"kind": "url", "url": "http://127.0.0.1:9/x"}))


def test_an_unknown_host_is_reported(make_card):
    with pytest.raises(ModelUnavailable, match=r"nowhere\.invalid: the (name cannot be resolved|proxy)"):
        find_file(make_card({"kind": "url", "url": "https://nowhere.invalid/x"}))


def test_a_missing_ca_file_is_reported(make_card, server, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("PIP_CERT", "/no/such/file")
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: .*/no/such/file .*REQUESTS_CA_BUNDLE"):
        find_file(make_card({"kind": "url", "url": f"https://{server.host}/x"}))


def test_a_server_without_tls_is_reported(make_card, server):
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: .*certificate"):
        find_file(make_card({"kind": "url", "url": f"https://{server.host}/x"}))


def test_progress_counts_every_byte_once(at_url, server, tools, foreign_file):
    class Bar:
        def __init__(self):
            self.steps = []

        def start(self, description, total_bytes):
            self.steps = [(description, total_bytes)]

        def advance(self, size_bytes):
            self.steps.append(size_bytes)

        def finish(self):
            self.steps.append("finished")

    data = foreign_file * 10
    card = at_url(data)
    server.pages[PATH].faults = [("cut", 50_000)]
    bar = Bar()
    find_file(card, bar)
    (description, total), *steps, last = bar.steps
    assert (description, total, last) == ("Downloading weights one.ckpt", len(data), "finished")
    assert sum(steps) == len(data)


@pytest.mark.parametrize(
    "target", ["https://169.254.169.254/a", "https://[::ffff:a9fe:a9fe]/a", "https://2852039166/a"]
)
def test_no_redirect_leads_to_a_link_local_address(at_url, server, tools, target):
    card = at_url()
    server.pages[PATH] = tools.Page(status=302, headers={"Location": target})
    with pytest.raises(ModelUnavailable, match="link-local"):
        find_file(card)


def test_a_public_server_does_not_lead_inside(at_url, server, tools, foreign_file, monkeypatch):
    card = at_url()
    server.pages["/canary"] = tools.Page(foreign_file)
    server.pages[PATH] = tools.Page(status=302, headers={"Location": "/canary"})
    find_file(card)  # on this machine, one may lead to another
    asked = len(server.ranges("/canary"))
    monkeypatch.setattr(session, "first_kind", lambda url, resolve: "public")
    with pytest.raises(ModelUnavailable, match="loopback"):
        find_file(replace(card, name="other.test"))
    assert len(server.ranges("/canary")) == asked


def test_a_circle_of_redirects_ends(at_url, server, tools):
    card = at_url()
    server.pages[PATH] = tools.Page(status=302, headers={"Location": PATH})
    with pytest.raises(ModelUnavailable, match="redirects"):
        find_file(card)
    assert len(server.ranges(PATH)) < 40


def _files(cache):
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
@pytest.mark.parametrize("published", [True, False])
def test_a_compressed_answer_is_refused_unread(at_url, server, tools, foreign_file, cache, encoding, published):
    card = at_url(sums=None if published else {})
    bomb = gzip.compress(foreign_file + bytes(10_000_000))
    server.pages[PATH] = tools.Page(bomb, headers={"Content-Encoding": encoding})
    with pytest.raises(ModelUnavailable, match="compressed"):
        find_file(card)
    assert _files(cache) == []


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_size_than_published_is_refused_unread(at_url, foreign_file, cache, difference):
    with pytest.raises(ChecksumMismatch, match=f"{len(foreign_file)} bytes"):
        find_file(_with_size(at_url(sums={}), len(foreign_file) + difference))
    assert _files(cache) == []


def _with_size(card, size_bytes):
    return replace(card, sources=(replace(card.sources[0], size_bytes=size_bytes),))


def test_a_server_without_a_length_is_read_up_to_the_limit(at_url, server, tools, foreign_file, cache, monkeypatch):
    card = at_url(sums={})
    assert find_file(card).is_file()
    chunked = b"".join(b"1000\r\n%s\r\n" % bytes(4096) for _ in range(100)) + b"0\r\n\r\n"
    endless = {"Content-Length": None, "Transfer-Encoding": "chunked"}
    server.pages[PATH] = tools.Page(chunked, headers=endless)
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 100_000)
    with pytest.raises(ChecksumMismatch, match="more than 100000 bytes"):
        find_file(replace(card, name="other.test"))
    with pytest.raises(ChecksumMismatch, match="more than 50000 bytes"):
        find_file(_with_size(replace(card, name="other.test"), 50_000))
    assert [path.name for path in _files(cache) if "other.test" in path.name] == []


def test_a_length_that_is_too_large_is_no_end(at_url, server, long_file, cache):
    """The server promises more than it sends; without a checksum, nothing else would tell."""
    card = at_url(long_file, sums={})
    server.pages[PATH].headers = {"Content-Length": str(len(long_file) + 1)}
    server.pages[PATH].faults = [("cut", len(long_file))] * download.MAX_CONNECTIONS
    with pytest.raises(ModelUnavailable, match="ended early"):
        find_file(card)
    assert _files(cache) == []


def test_a_part_that_nobody_asked_for_is_refused(at_url, server, tools, foreign_file, cache):
    card = at_url()
    server.pages[PATH] = tools.Page(foreign_file, 206, {"Content-Range": f"bytes 0-{len(foreign_file) - 1}/*"})
    with pytest.raises(ModelUnavailable, match="206"):
        find_file(card)
    assert _files(cache) == []


def test_a_shorter_part_than_asked_for_is_no_end(at_url, server, long_file):
    card = at_url(long_file)
    server.pages[PATH].faults = [("cut", 50_000), "short"]
    assert find_file(card).is_file()
    assert server.ranges(PATH) == [None, "bytes=49152-", "bytes=50152-"]


def test_the_rest_is_not_taken_from_another_host(at_url, server, tools, long_file, notes):
    """Both have the same ETag, which means nothing: there is no checksum, and the rest is of another file."""
    other = LocalServer()
    try:
        card = at_url(long_file, sums={})
        server.pages[PATH].headers = {"ETag": '"1"'}
        other.pages["/other"] = tools.Page(b"2" * len(long_file), headers={"ETag": '"1"'})
        away = tools.Page(status=302, headers={"Location": f"{other.url}/other"})
        page = server.pages[PATH]

        def move():
            page.status, page.headers = away.status, away.headers

        page.faults = [("cut", 50_000), move]
        with pytest.raises(ModelFileError):
            find_file(card)
        assert other.ranges("/other") == ["bytes=49152-", None]
    finally:
        other.close()


@pytest.mark.parametrize("published", [True, False])
def test_a_disk_that_is_too_full_is_told_before_it_is_filled(at_url, cache, monkeypatch, published):
    card = at_url(sums=None if published else {})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10_000, 9_000, 1_000))
    with pytest.raises(ModelUnavailable, match="1000 are free"):
        find_file(card)
    assert _files(cache) == []


def test_a_part_that_cannot_be_resumed_does_not_stay_on_a_full_disk(at_url, long_file, cache, monkeypatch):
    card, opened = at_url(long_file, sums={}), Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            if self.file.tell() > 40_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(data)

    def open_full(path, *arguments):
        file = opened(path, *arguments)
        return Full(file) if path.suffix == ".part" and "wb" in arguments else file

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(ModelUnavailable, match="No space"):
        find_file(card)
    assert _files(cache) == []

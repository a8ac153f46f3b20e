"""``nlvid models pull`` from every host of the manifest, each of them imitated by a local server."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.store import download
from nlvid_cli.models.store.cache import cached_path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SUMS = {
    "sha256": lambda data: hashlib.sha256(data).hexdigest(),
    "sha256_prefix": lambda data: hashlib.sha256(data).hexdigest()[:8],
    "sha1": lambda data: hashlib.sha1(data).hexdigest(),
}
HOSTS = {
    "dl.fbaipublicfiles.com": None,
    "download.openmmlab.com": "sha256_prefix",
    "apache-mxnet.s3-accelerate.dualstack.amazonaws.com": "sha1",
    "hub": "sha256",
    "index": "sha256",
}
"""The kind of checksum that is published for the files of each host."""
WITH_SUMS = [host for host, kind in HOSTS.items() if kind]
CUT = 20_000
"""Bytes that arrive before a fault. Plain downloads keep whole chunks of 16384."""


@dataclass
class Played:
    """A model on an imitated host.

    Attributes:
        card: The model's card.
        page: The page of its file on the server.
        path: The path of that page.
        file: The name of the file.
    """

    card: Card
    page: object
    path: str
    file: str


def test_every_host_of_the_manifest_is_tested():
    sources = [source for card in load_manifest().models for source in card.sources]
    by_kind = {source.kind for source in sources}
    assert {urlsplit(source.url).netloc for source in sources if source.kind == "url"} | by_kind - {
        "url",
        "bundled",
    } <= set(HOSTS)
    for source in sources:
        if source.kind == "url":
            kind = HOSTS[urlsplit(source.url).netloc]
            assert [name for name in SUMS if getattr(source, name)] == ([kind] if kind else [])


@pytest.fixture
def play(server, tools, make_card, weights, foreign_file, small_tensors, tmp_path, monkeypatch):
    """Put a model on a host. ``real`` is the file with the published checksum, if it is another one."""

    def put(host, real=None):
        data = foreign_file if host != "hub" else ready_file(make_card, small_tensors, tmp_path)
        kind = HOSTS[host]
        sums = {kind: SUMS[kind](real or data)} if kind else {}
        headers = {}
        if host == "hub":
            path = f"/org/model/resolve/{COMMIT}/model.safetensors"
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{tools.sha256(data)}"'}
            source = {"kind": "hub", "repo": "org/model", "path": Path(path).name, "revision": COMMIT} | sums
        elif host == "index":
            monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
            path, data = "/files/pkg-1.0.tar.gz", tools.tar({"w.pkl": data})
            link = b'<a href="/files/pkg-1.0.tar.gz">pkg-1.0.tar.gz</a>'
            server.pages["/simple/pkg/"] = tools.Page(link, headers={"Content-Type": "text/html"})
            sums = {"sha256": tools.sha256(real or data)}
            names = {"project": "pkg", "version": "1.0", "archive": "pkg-1.0.tar.gz", "member": "w.pkl"}
            source = {"kind": "index"} | names | sums
        else:
            address = urlsplit(published_address(host))
            path = address.path
            source = {"kind": "url", "url": server.url + path} | sums
        server.pages[path] = tools.Page(data, headers=headers)
        card = make_card(source, name="model.test", format="safetensors" if host == "hub" else "nlvid")
        weights(card)
        return Played(card, server.pages[path], path, Path(path).name)

    return put


def published_address(host):
    """Return the address of the first file of the manifest on a host."""
    urls = [source.url for card in load_manifest().models for source in card.sources if source.kind == "url"]
    return next(url for url in urls if urlsplit(url).netloc == host)


def ready_file(make_card, tensors, tmp_path):
    path = tmp_path / "published.safetensors"
    write_checkpoint(path, make_card(name="model.test"), tensors)
    return path.read_bytes()


@pytest.fixture
def pull(run, server, tools, monkeypatch):
    """Run ``nlvid models pull``. The Hub's library reads its variables when imported, so it gets its own process."""
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (5.0, 0.5))

    def pull_one(played):
        if played.card.sources[0].kind != "hub":
            return run("models", "pull", "model.test")
        variables = {"HF_ENDPOINT": server.url, "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
        return tools.nlvid([played.card], "models", "pull", "model.test", **variables)

    return pull_one


def leftovers(cache, tmp_path):
    """Return the models and parts of them in both caches."""
    hub = [path for path in (tmp_path / "huggingface").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    return hub + [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def require_ready(outcome, played, small_tensors):
    assert outcome.status == 0, outcome.err
    path = Path(outcome.out.rstrip("\n"))
    assert path == cached_path(played.card)
    assert open_checkpoint(path)[1].keys() == small_tensors.keys()
    assert f"note: Downloading {played.file} (0 MB)\n" in outcome.err
    assert outcome.err.endswith(f"note: model.test is ready; licence: {played.card.licence}\n")


@pytest.mark.parametrize("host", HOSTS)
def test_the_published_file_is_fetched_once(host, play, pull, server, small_tensors, tools):
    played = play(host)
    outcome = pull(played)
    require_ready(outcome, played, small_tensors)
    told = f"note: the authors of {played.file} publish no hash of it; the downloaded file has the sha256 "
    assert (told + tools.sha256(played.page.body) in outcome.err) == (HOSTS[host] is None)
    asked = len(server.requests)
    again = pull(played)
    assert (again.status, again.out) == (0, outcome.out)
    assert "Downloading" not in again.err
    assert len(server.requests) == asked


@pytest.mark.parametrize("host", WITH_SUMS)
def test_a_wrong_file_is_refused(host, play, pull, server, cache, tmp_path):
    played = play(host, real=b"the published file")
    outcome = pull(played)
    words = "a sha256 that begins with" if HOSTS[host] == "sha256_prefix" else HOSTS[host]
    expected = f"{words} {SUMS[HOSTS[host]](b'the published file')}"
    got = SUMS["sha1" if HOSTS[host] == "sha1" else "sha256"](played.page.body)
    assert (outcome.status, outcome.out) == (3, "")
    assert f"error: model.test: {played.file}" in outcome.err
    assert (
        f"from {server.host} is not the published file: expected {expected}, got {got}; it was not used" in outcome.err
    )
    assert leftovers(cache, tmp_path) == []


@pytest.mark.parametrize("host", HOSTS)
def test_an_interrupted_download_is_resumed(host, play, pull, server, small_tensors):
    played = play(host)
    played.page.faults = [("cut", CUT)]
    require_ready(pull(played), played, small_tensors)
    assert len(server.ranges(played.path)) == 2


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "hub"])
def test_a_download_that_is_always_interrupted_is_continued_by_the_next_run(
    host, play, pull, server, cache, small_tensors
):
    played = play(host)
    played.page.faults = [("cut", CUT), ("cut", 0), ("cut", 0), ("cut", 0)]
    outcome = pull(played)
    assert (outcome.status, outcome.out) == (3, "")
    assert f"model.test: no source of this model could be reached: {server.host}: the connection ended" in outcome.err
    assert ("(16384 bytes arrived and are kept;" in outcome.err) == bool(HOSTS[host])
    assert cached_path(played.card) is None
    require_ready(pull(played), played, small_tensors)
    assert server.ranges(played.path)[-1] == ("bytes=16384-" if HOSTS[host] else None)


@pytest.mark.parametrize("host", HOSTS)
def test_a_slow_server_is_waited_for(host, play, pull, server, small_tensors):
    played = play(host)
    played.page.faults = [("drip", 3000)]
    require_ready(pull(played), played, small_tensors)
    assert len(server.ranges(played.path)) == 1


@pytest.mark.parametrize("host", HOSTS)
def test_a_silent_server_is_asked_again(host, play, pull, server, small_tensors):
    played = play(host)
    played.page.faults = [("stall", CUT)]
    require_ready(pull(played), played, small_tensors)
    assert len(server.ranges(played.path)) == 2


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "hub"])
def test_a_server_that_stays_silent_is_reported(host, play, pull, server, cache, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (5.0, 0.1))
    played = play(host)
    played.page.faults = [("stall", 100)] * 3
    outcome = pull(played)
    assert (outcome.status, outcome.out) == (3, "")
    assert f"{server.host}: no answer in time" in outcome.err
    assert cached_path(played.card) is None


@pytest.mark.parametrize("host", HOSTS)
def test_a_missing_file_is_reported(host, play, pull, server, tools, cache, tmp_path):
    played = play(host)
    server.pages[played.path] = tools.Page(b"", 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
    outcome = pull(played)
    words = f"has no file {played.file}" if host == "hub" else f"{played.file}: not found (HTTP 404)"
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.startswith(f"error: model.test: no source of this model could be reached: {server.host}: ")
    assert words in outcome.err
    assert outcome.err.endswith("then run `nlvid models pull model.test`\n")
    assert leftovers(cache, tmp_path) == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_that_recovers_is_asked_again(host, play, pull, server, small_tensors):
    played = play(host)
    played.page.faults = [503, 500]
    require_ready(pull(played), played, small_tensors)
    assert len(server.ranges(played.path)) == 3


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "hub"])
def test_a_server_that_does_not_recover_is_reported(host, play, pull, server, cache, tmp_path):
    played = play(host)
    played.page.faults = [502] * 10
    outcome = pull(played)
    assert (outcome.status, outcome.out) == (3, "")
    assert f"{server.host}: {played.file}: the server has a problem (HTTP 502)" in outcome.err
    assert leftovers(cache, tmp_path) == []


def test_pull_warns_of_a_licence_without_commercial_use(play, pull, weights):
    played = play("dl.fbaipublicfiles.com")
    assert "commercial" not in pull(played).err
    weights(replace(played.card, commercial_use=False, licence="CC-BY-NC-4.0"))
    outcome = pull(played)
    assert outcome.status == 0
    assert "licence: CC-BY-NC-4.0" in outcome.err
    assert "warning: the licence of model.test does not allow commercial use" in outcome.err

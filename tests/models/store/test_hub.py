"""The real ``huggingface_hub`` client against a local server that speaks the Hub's protocol.

The library reads its variables when it is imported, so each fetch has a process of its own.
"""

import gzip
import time

import pytest

from nlvid_cli.models.find import find_file
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.store.cache import slot_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 30


@pytest.fixture
def hub(server, tools, make_card, tmp_path, flax_tree):
    """Publish a file on the Hub, and return its card."""

    def put(data=None, revision=COMMIT, sha256=None, repo="org/model", **fields):
        if data is None:
            data = safetensors_file(make_card, tmp_path)
        commit = revision if len(revision) == 40 else COMMIT
        headers = {"X-Repo-Commit": commit, "ETag": f'"{tools.sha256(data)}"', "Accept-Ranges": "bytes"}
        path = f"/{repo}/resolve/{revision}/weights.bin"
        server.pages[path] = tools.Page(data, headers=headers)
        source = {"kind": "hub", "repo": repo, "path": "weights.bin", "revision": revision}
        card = make_card(source | {"sha256": sha256 or tools.sha256(data)}, **({"format": "safetensors"} | fields))
        put.page, put.path, put.data = server.pages[path], path, data
        return card

    return put


def safetensors_file(make_card, tmp_path):
    import numpy as np

    path = tmp_path / "published.safetensors"
    numbers = np.random.default_rng(0).standard_normal(100_000, dtype=np.float32)
    write_checkpoint(path, make_card({"kind": "bundled", "path": "x"}), {"a": numbers})
    return path.read_bytes()


@pytest.fixture
def fetch(server, tools):
    def run(*cards, **environment):
        return tools.fetch_in_child(*cards, **({"HF_ENDPOINT": server.url} | environment))

    return run


def partial_files(tmp_path):
    return [path for path in (tmp_path / "huggingface").rglob("*") if "incomplete" in path.name]


@pytest.mark.parametrize("revision", [COMMIT, "v1.0"])
def test_a_download_is_used_again_and_offline(hub, fetch, server, tools, tmp_path, cache, revision):
    card = hub(revision=revision)
    (first,) = fetch(card)
    assert first["path"].startswith(str(tmp_path / "huggingface"))  # used in place, no copy
    assert not list(cache.rglob("*.safetensors"))
    assert open_checkpoint(first["path"])[1]["a"].shape == (100_000,)
    steps = first["progress"]
    assert steps[0][0::2] == ["start", len(hub.data)]
    assert sum(step[1] for step in steps if step[0] == "advance") == len(hub.data)
    assert steps[-1] == ["finish"]
    asked = len(server.requests)
    (hit,) = tools.fetch_in_fresh_process(card, HF_ENDPOINT=server.url)
    assert hit["path"] == first["path"]
    assert hit["clients"] == []
    for receipt in cache.rglob("*.json"):
        receipt.unlink()  # as if another program had filled the Hub's cache
    (without_receipt,) = fetch(card)
    (offline,) = fetch(card, HF_HUB_OFFLINE="1")
    assert without_receipt["path"] == offline["path"] == first["path"]
    assert len(server.requests) == asked


def test_an_uncached_file_is_unavailable_offline(hub, fetch, server):
    (result,) = fetch(hub(), HF_HUB_OFFLINE="1")
    assert (result["error"], result["status"]) == ("ModelUnavailable", 3)
    assert f"{server.host}: weights.bin of org/model" in result["message"]
    assert "HF_HUB_OFFLINE" in result["message"]
    assert server.requests == []


def test_a_foreign_file_is_converted(hub, fetch, foreign_file, monkeypatch, tmp_path):
    (result,) = fetch(hub(foreign_file))
    assert result["error"] == "ModelFileError"  # not a safetensors file, but it is in the Hub's cache now
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "huggingface" / "hub"))
    card = hub(foreign_file, format="flax-i3d")
    path = find_file(card)
    assert path == slot_of(card).ready
    assert open_checkpoint(path)[0] == card


def test_a_wrong_file_is_removed_from_the_hubs_cache(hub, fetch, tools, tmp_path):
    card = hub(sha256="0" * 64)
    (wrong,) = fetch(card)
    assert (wrong["error"], wrong["status"]) == ("ChecksumMismatch", 3)
    assert f"expected sha256 {'0' * 64}, got {tools.sha256(hub.data)}" in wrong["message"]
    assert not list((tmp_path / "huggingface").rglob("weights.bin"))
    assert not [path for path in (tmp_path / "huggingface").rglob("blobs/*") if path.stat().st_size > 1000]


def test_no_more_is_kept_than_stated(hub, fetch, tmp_path):
    """A bomb: 60 MB arrive as 60 kB, of a file that is stated to have 400 kB."""
    card = hub()
    stated = len(hub.data)
    hub.page.headers |= {"Content-Encoding": "gzip", "X-Linked-Size": str(stated)}
    hub.page.body = gzip.compress(bytes(60_000_000))
    (result,) = fetch(card)
    assert (result["error"], result["status"]) == ("ModelUnavailable", 3)
    assert f"{stated} bytes" in result["message"]
    assert sum(path.stat().st_size for path in (tmp_path / "huggingface").rglob("*") if path.is_file()) < stated


def test_a_damaged_file_in_the_hubs_cache_is_fetched_again(hub, fetch, cache, server):
    card = hub()
    (first,) = fetch(card)
    with open(first["path"], "r+b") as file:
        file.truncate(1000)
    (second,) = fetch(card)
    assert open_checkpoint(second["path"])[1]["a"].shape == (100_000,)
    assert any("fetching it again" in note for note in second["notes"])
    assert len(server.ranges(hub.path)) == 2


def test_missing_and_forbidden_files_are_explained(hub, fetch, server, tools):
    answers = {
        "org/repo": (404, {"X-Error-Code": "RepoNotFound"}, "there is no repository org/repo"),
        "org/file": (404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, "has no file weights.bin"),
        "org/revision": (404, {"X-Error-Code": "RevisionNotFound"}, f"org/revision has no revision {COMMIT}"),
        "org/private": (401, {"X-Error-Code": "RepoNotFound"}, "private and needs HF_TOKEN"),
        "org/login": (401, {}, "org/login: access needs a login (HTTP 401); HF_TOKEN is missing or not accepted"),
        "org/gated": (403, {"X-Error-Code": "GatedRepo"}, "org/gated is gated; accept its terms"),
        "org/token": (
            401,
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            "HF_TOKEN is missing or not",
        ),
    }
    cards = []
    for repo, (status, headers, _) in answers.items():
        cards.append(hub(repo=repo))
        server.pages[hub.path] = tools.Page(b"no", status, headers)
    results = fetch(*cards, HF_TOKEN=TOKEN)
    for (_, _, words), result in zip(answers.values(), results, strict=True):
        assert result["error"] == "ModelUnavailable"
        assert words in result["message"]
        assert TOKEN not in result["message"]
    asked = [headers for _, path, headers in server.requests if "/resolve/" in path]
    assert {headers.get("authorization") for headers in asked} == {f"Bearer {TOKEN}"}


def test_an_interrupted_download_is_resumed(hub, fetch, tmp_path):
    card = hub()
    hub.page.faults = [("cut", 150_000)]
    (result,) = fetch(card)
    assert open_checkpoint(result["path"])[1]["a"].shape == (100_000,)
    assert partial_files(tmp_path) == []


def test_a_resumed_download_asks_for_the_rest_only(hub, fetch, server, tools):
    card = hub(b"x" * 25_000_000, sha256=None)
    hub.page.faults = [("cut", 12_000_000)]
    (result,) = fetch(card)
    assert result["error"] == "ModelFileError"  # no safetensors, but the right bytes: its sha256 was accepted
    assert server.ranges(hub.path) == [None, f"bytes={10 * 2**20}-"]


def test_a_reset_connection_is_retried_a_few_times(hub, fetch, server, tmp_path):
    card = hub()
    hub.page.faults = [("reset", 150_000)]
    (result,) = fetch(card)
    assert "path" in result
    other = hub(b"y" * 400_000, revision="f" * 40, name="other.test")
    hub.page.faults = [("reset", 150_000)] * 20
    (result,) = fetch(other)
    assert result["error"] == "ModelUnavailable"
    assert f"{server.host}: the connection was reset" in result["message"]
    assert "usable right now" in result["message"]
    assert partial_files(tmp_path) == []
    assert not list((tmp_path / "huggingface").rglob(f"snapshots/{'f' * 40}/*"))


def test_only_one_of_the_two_bars_of_a_xet_download_is_shown():
    from nlvid_cli.models.store.sources.hub import _bar_for

    seen = []

    class Seen:
        def start(self, description, total_bytes):
            seen.append((description, total_bytes))

        def advance(self, size_bytes):
            seen.append(size_bytes)

        def finish(self):
            seen.append("finished")

    bar = _bar_for(Seen(), "w.bin")
    written, received = bar(desc="written", total=9, unit="B", position=1), bar(desc="received", total=9)
    received.update(4)
    written.update(9)
    received.refresh()
    written.set_postfix_str("9 B/s", refresh=False)
    received.close()
    written.close()
    written.close()
    assert seen == [("Downloading w.bin", 9), 0, 9, "finished"]
    assert written.n == 9


def test_an_endpoint_without_a_server_is_reported_soon(hub, fetch, server):
    card = hub()
    start_seconds = time.monotonic()
    (result,) = fetch(card, HF_ENDPOINT="http://127.0.0.1:9")
    assert time.monotonic() - start_seconds < 15  # the library alone goes on for 24 s
    assert result["error"] == "ModelUnavailable"
    assert "127.0.0.1:9: connection refused" in result["message"]

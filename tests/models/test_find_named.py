"""Models that are named by their name, and the default: which source is used, what is cached, and what errors say."""

import os

import numpy as np
import pytest

from nlvid_cli.errors import ChecksumMismatch, ModelUnavailable
from nlvid_cli.models.find import find_default, find_file
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.store import cache as cache_module
from nlvid_cli.models.store.cache import cache_folder, cache_key, cached_path, slot_of, usable_now

CLOSED = {"kind": "url", "url": "http://127.0.0.1:9/x", "sha256": "9" * 64}


@pytest.fixture
def bundle(weights, make_card):
    """Put a model into the weights folder."""

    def put(name="bundled.test", **source):
        card = make_card({"kind": "bundled", "path": f"{name}.safetensors"} | source, name=name, format="safetensors")
        write_checkpoint(weights() / f"{name}.safetensors", card, {"a": np.ones(2, "f4")})
        return card

    return put


@pytest.fixture
def at_url(server, tools, foreign_file):
    def put(path="/w.ckpt"):
        server.pages[path] = tools.Page(foreign_file)
        return {"kind": "url", "url": server.url + path, "sha256": tools.sha256(foreign_file)}

    return put


def test_a_bundled_model_is_used_in_place(bundle, cache):
    card = bundle()
    path = find_file(card)
    assert path == cached_path(card)
    assert path.name == "bundled.test.safetensors"
    assert open_checkpoint(path)[0] == card
    assert not cache.exists()


def test_a_missing_bundled_file_is_named(weights, make_card):
    weights()
    with pytest.raises(ModelUnavailable, match=r"none\.safetensors"):
        find_file(make_card({"kind": "bundled", "path": "none.safetensors"}))


def test_a_bundled_file_of_another_format_is_checked_and_converted(weights, make_card, foreign_file, tools):
    (weights() / "w.ckpt").write_bytes(foreign_file)
    source = {"kind": "bundled", "path": "w.ckpt"}
    assert find_file(make_card(source | {"sha256": tools.sha256(foreign_file)})).is_file()
    with pytest.raises(ChecksumMismatch, match=r"w\.ckpt"):
        find_file(make_card(source | {"sha256": "0" * 64}))
    assert (weights() / "w.ckpt").is_file()


def test_a_card_without_sources_is_an_error(make_card):
    assert cached_path(make_card()) is None
    with pytest.raises(ModelUnavailable, match="source"):
        find_file(make_card())


def test_the_next_source_is_tried(make_card, at_url, notes):
    good = at_url()
    notes.clear()
    card = make_card(CLOSED | {"sha256": good["sha256"]}, {"kind": "bundled", "path": "none"}, good)
    assert find_file(card).is_file()


def test_a_source_with_a_wrong_file_is_passed_over(make_card, at_url, server, tools):
    good = at_url()
    server.pages["/bad"] = tools.Page(b"bad")
    bad = {"kind": "url", "url": f"{server.url}/bad", "sha256": good["sha256"]}
    assert find_file(make_card(bad, good)).is_file()
    with pytest.raises(ChecksumMismatch, match=r"small\.test: bad .*127\.0\.0\.1:9: connection refused"):
        find_file(make_card(bad | {"sha256": "3" * 64}, CLOSED))


def test_an_unavailable_model_error_lists_usable_models(weights, bundle, make_card):
    there, away = bundle(), make_card(CLOSED, {"kind": "bundled", "path": "none"}, name="away.test")
    weights(away, there)
    assert usable_now() == ("bundled.test",)
    with pytest.raises(ModelUnavailable) as error:
        find_file(away)
    assert str(error.value) == (
        "away.test: no source of this model could be reached: 127.0.0.1:9: connection refused; "
        "the package's weights folder: it has no file none; usable right now: bundled.test (choose with --model); "
        "check the network and the proxy settings, then run `nlvid models pull away.test`"
    )
    assert error.value.exit_status == 3


def test_the_default_prefers_a_cached_model_and_says_so(weights, bundle, make_card, at_url, notes):
    there, away = make_card(at_url(), name="there.test"), make_card(CLOSED, name="away.test")
    find_file(there)
    weights(bundle(), away, there, default=("bundled.test", "away.test", "there.test"))
    notes.clear()
    card, path = find_default()
    assert (card, path) == (there, cached_path(there))
    assert notes[1:] == [
        "using there.test and not away.test (it is not on this machine yet); --model away.test insists on it"
    ]


def test_a_bundled_model_is_the_last_resort(weights, bundle, make_card, at_url, notes):
    away, reachable, last = make_card(CLOSED, name="away.test"), make_card(at_url(), name="reachable.test"), bundle()
    weights(away, reachable, last, default=("away.test", "reachable.test", "bundled.test"))
    assert find_default()[0] == reachable
    weights(away, last, default=("away.test", "bundled.test"))
    notes.clear()
    assert find_default() == (last, cached_path(last))
    assert notes == [
        "using bundled.test and not away.test (away.test: no source of this model could be reached: "
        "127.0.0.1:9: connection refused); --model away.test insists on it"
    ]


def test_the_default_falls_back_to_what_can_be_downloaded(weights, make_card, at_url, notes):
    away, reachable = make_card(CLOSED, name="away.test"), make_card(at_url(), name="reachable.test")
    weights(away, reachable, default=("away.test", "reachable.test"))
    notes.clear()
    assert find_default()[0] == reachable
    assert notes == [
        "using reachable.test and not away.test (away.test: no source of this model could be reached: "
        "127.0.0.1:9: connection refused); --model away.test insists on it"
    ]
    notes.clear()
    assert find_default()[0] == reachable
    assert len(notes) == 1


def test_no_default_is_available(weights, make_card):
    cards = [make_card(CLOSED, name=f"{name}.test") for name in ("first", "second")]
    weights(*cards, default=("first.test", "second.test"))
    with pytest.raises(ModelUnavailable, match=r"first\.test: .*no model is usable"):
        find_default()


def test_the_key_depends_on_the_weights_only(make_card, monkeypatch):
    source = {"kind": "url", "url": "https://a/b", "sha256": "1" * 64}
    card = make_card(source)
    assert cache_key(card) == cache_key(make_card(source, summary="other words"))
    mirrored = make_card(source | {"url": "https://mirror/b"}, source)
    assert cache_key(card) == cache_key(mirrored)
    assert cache_key(card) != cache_key(make_card(source | {"sha256": "2" * 64}))
    assert cache_key(card) != cache_key(make_card(source, format="other"))
    before = cache_key(card)
    monkeypatch.setattr(cache_module, "LAYOUT", cache_module.LAYOUT + 1)
    assert cache_key(card) != before


def test_a_changed_card_causes_no_download(make_card, at_url, server):
    old = make_card(at_url())
    path = find_file(old)
    asked = len(server.requests)
    new = make_card(at_url(), summary="new words")
    assert find_file(new) == path
    assert len(server.requests) == asked
    assert open_checkpoint(path)[0] == old


def test_the_cache_folder_follows_nlvid_cache(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("NLVID_CACHE", "~/models")
    assert str(cache_folder()) == "/home/somebody/models"
    monkeypatch.setenv("NLVID_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "nlvid"


def test_an_unwritable_cache_is_named(make_card, at_url, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelUnavailable, match=r"file/cache .*NLVID_CACHE"):
        find_file(make_card(at_url()))


def test_a_full_disk_leaves_nothing_behind(make_card, at_url, monkeypatch, cache):
    card = make_card(at_url())

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nlvid_cli.models.model_file.os.fsync", full)
    with pytest.raises(ModelUnavailable, match="No space left on device"):
        find_file(card)
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"path": 5, "size_bytes": 1}', '{"path": "/nowhere", "size_bytes": 1}']
)
def test_a_bad_receipt_is_ignored(make_card, at_url, text):
    card = make_card(at_url())
    receipt = slot_of(card).receipt
    os.makedirs(receipt.parent)
    receipt.write_text(text)
    assert cached_path(card) is None

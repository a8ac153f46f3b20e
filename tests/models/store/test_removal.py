"""``nlvid models remove`` and ``nlvid models list --cached``."""

import json
from pathlib import Path

import pytest

from nlvid_cli.models.find import find_file, find_model
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.models.store.cache import cached_path, compiled_from, slot_of, write_receipt
from nlvid_cli.models.store.lock import hold


@pytest.fixture
def pulled(server, tools, make_card, weights, foreign_file):
    """A manifest of two models, both of them in the cache."""
    server.pages["/w.pkl"] = tools.Page(foreign_file)
    source = {"kind": "url", "url": f"{server.url}/w.pkl", "sha256": tools.sha256(foreign_file)}
    cards = [make_card(source, name=f"{name}.test", aliases=[name]) for name in ("one", "two")]
    weights(*cards)
    for card in cards:
        find_file(card)
    return cards


def files_of(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_removing_one_model_leaves_the_other(run, pulled, cache):
    one, two = (slot_of(card).ready for card in pulled)
    size_bytes = one.stat().st_size
    outcome = run("models", "remove", "one")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"one.test: {size_bytes} bytes freed\n", "")
    assert files_of(cache) == [two]
    assert cached_path(pulled[0]) is None
    again = run("models", "remove", "one.test")
    assert (again.status, again.out) == (0, "one.test: 0 bytes freed\n")


def test_unfinished_downloads_and_old_weights_are_removed_too(run, pulled, cache):
    one, two = map(slot_of, pulled)
    kept = [
        two.ready,
        *(cache / "models" / f"{name}-{'0' * 16}.safetensors" for name in ("one.test-b", "x-one.test", "one")),
    ]
    gone = [
        one.ready,
        one.download("w.pkl.part"),
        cache / "models" / f"one.test-{'1' * 16}.safetensors",
        cache / "models" / f"one.test-{'2' * 16}.json",
        cache / "models" / f".one.test-{one.key}.safetensors.0123abcd.tmp",
        cache / "downloads" / f"one.test-{'1' * 16}-old.pkl.part",
    ]
    for path in (*kept[1:], *gone[1:]):
        path.write_bytes(b"x" * 10)
    freed_bytes = one.ready.stat().st_size + 50
    assert run("models", "remove", "one").out == f"one.test: {freed_bytes} bytes freed\n"
    assert files_of(cache) == sorted(kept)


def test_all_removes_the_whole_cache_and_nothing_else(run, pulled, cache, tmp_path):
    outside = tmp_path / "mine.pkl"
    outside.write_bytes(b"mine")
    (cache / "models" / "link").symlink_to(outside)
    (cache / "downloads" / "stray.part").write_bytes(b"12345")
    (cache / "compiled" / "of_a_graph").mkdir(parents=True)
    (cache / "compiled" / "of_a_graph" / "kernels.bin").write_bytes(b"123")
    freed_bytes = sum(path.lstat().st_size for path in (*files_of(cache),))
    outcome = run("models", "remove", "--all")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == f"{freed_bytes} bytes freed"
    assert files_of(cache) == []
    assert outside.read_bytes() == b"mine"
    assert run("models", "remove", "--all").out == "0 bytes freed\n"


def test_what_was_compiled_from_an_exported_file_is_removed_too(run, pulled, cache):
    for card in pulled:
        slot_of(card).onnx.write_bytes(card.name.encode())
        compiled_from(slot_of(card).onnx).mkdir(parents=True)
        (compiled_from(slot_of(card).onnx) / "engine").write_bytes(b"compiled")
    kept = compiled_from(slot_of(pulled[1]).onnx)
    run("models", "remove", "one")
    assert [path.parent for path in files_of(cache) if path.name == "engine"] == [kept]


def test_a_converted_file_is_listed_and_removed_by_its_name(run, pulled, tmp_path, foreign_file, cache):
    mine = tmp_path / "mine.pkl"
    mine.write_bytes(foreign_file)
    _, ready = find_model(mine, "one")
    listed = json.loads(run("models", "list", "--cached", "--json").out)
    assert [row["name"] for row in listed] == ["one.test", "two.test", "mine"]
    assert listed[2] == {"name": "mine", "size_bytes": ready.stat().st_size, "path": str(ready)}
    table = run("models", "list", "--cached").out
    assert all(str(path) in table for path in (ready, slot_of(pulled[0]).ready))
    assert run("models", "remove", "mine").status == 0
    assert not ready.exists()
    assert mine.read_bytes() == foreign_file


def test_a_bundled_model_is_kept(run, weights, make_card, small_tensors, cache):
    card = make_card({"kind": "bundled", "path": "b.safetensors"}, name="bundled.test", format="safetensors")
    path = weights(card) / "b.safetensors"
    write_checkpoint(path, card, small_tensors)
    outcome = run("models", "remove", "bundled.test")
    assert (outcome.status, outcome.out) == (0, "bundled.test: 0 bytes freed\n")
    assert outcome.err == f"note: bundled.test is part of nlvid and stays: {path}\n"
    assert path.is_file()
    assert not cache.exists()


def test_a_file_in_the_hubs_cache_is_kept_and_the_command_for_it_named(run, weights, make_card, tmp_path):
    source = {"kind": "hub", "repo": "org/model", "path": "w.safetensors"}
    card = make_card(source, name="hub.test", format="safetensors")
    weights(card)
    theirs = tmp_path / "huggingface" / "hub" / "models--org--model" / "snapshots" / "0" / "w.safetensors"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"weights")
    with hold(slot_of(card)):
        write_receipt(slot_of(card), theirs, "0" * 64)
    assert json.loads(run("models", "list", "--cached", "--json").out)[0]["path"] == str(theirs)
    outcome = run("models", "remove", "hub.test")
    assert outcome.status == 0
    assert f"{theirs} is in the cache of the Hugging Face Hub" in outcome.err
    assert "`hf cache rm model/org/model`" in outcome.err
    assert theirs.read_bytes() == b"weights"
    assert cached_path(card) is None


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "[]", '{"path": 7}', '{"path": "\\u0000", "size_bytes": 1}'])
def test_a_damaged_receipt_is_told_and_ignored(run, weights, make_card, tmp_path, content):
    card = make_card({"kind": "hub", "repo": "org/model", "path": "w.safetensors"}, name="hub.test")
    weights(card)
    with hold(slot_of(card)):
        write_receipt(slot_of(card), Path(__file__), "0" * 64)
    slot_of(card).receipt.write_text(content)
    outcome = run("models", "list")
    assert outcome.status == 0
    assert "hub.test" in outcome.out
    assert outcome.err.startswith(f"warning: {slot_of(card).receipt}: damaged")


def test_unknown_names_are_refused(run, pulled):
    outcome = run("models", "remove", "ono")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: no model is called 'ono'; did you mean 'one'")
    for arguments in ((), ("one", "--all")):
        outcome = run("models", "remove", *arguments)
        assert outcome.status == 2
        assert "name the models to remove" in outcome.err
    assert all(cached_path(card) for card in pulled)


@pytest.mark.parametrize("name", ["../models", "..", "*", "locks/x"])
def test_no_name_leads_out_of_the_cache(run, pulled, name, cache):
    before = files_of(cache)
    assert run("models", "remove", name).status == 2
    assert files_of(cache) == before


def test_removal_waits_for_another_process(pulled, tools, cache, server, notes):
    from threading import Thread

    from nlvid_cli.models.store.removal import remove

    removed = []
    with hold(slot_of(pulled[0])):
        thread = Thread(target=lambda: removed.append(remove("one")))
        thread.start()
        thread.join(0.3)
        assert removed == []
        assert notes == ["another nlvid is busy with one.test; waiting for it"]
        assert slot_of(pulled[0]).ready.is_file()
    thread.join()
    assert removed[0].freed_bytes > 0


def test_an_unwritable_cache_is_named(run, pulled, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    outcome = run("models", "remove", "one")
    assert outcome.status == 3
    assert "cannot be used (Permission denied)" in outcome.err

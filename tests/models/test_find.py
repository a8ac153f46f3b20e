"""Models that are named by a local file or by an address."""

import datetime
import json
import pickle
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import save

import nlvid_cli
from nlvid_cli.errors import (
    CheckpointMismatch,
    ModelFileError,
    ModelUnavailable,
    UnknownName,
    UnsafeFile,
    UsageError,
)
from nlvid_cli.models import convert
from nlvid_cli.models.find import find_model, find_model_card
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.store.cache import Slot, safe_name
from tests.clips import make_clip
from tests.onnx_models import make_model, write_model

PATH = "/models/mine.pkl"


@pytest.fixture
def entry(weights, make_card):
    """A manifest of one model. The files of these tests have its network."""
    figure = {"data_set": "test", "metric": "top-1", "value": 50.0, "protocol": "none", "measured_by": "nobody"}
    source = {"kind": "url", "url": "https://127.0.0.1:9/published.pkl", "sha256_prefix": "0" * 8}
    card = make_card(source, name="entry.test", aliases=["entry"], accuracy=[figure], redistribution=False)
    weights(card)
    return card


@pytest.fixture
def foreign(tmp_path, foreign_file):
    """A local checkpoint without a card."""
    path = tmp_path / "mine.pkl"
    path.write_bytes(foreign_file)
    return path


@pytest.fixture
def own_file(tmp_path, make_card, small_tensors):
    """A file written by nlvid."""
    path = tmp_path / "own.safetensors"
    write_checkpoint(path, make_card(name="own.test"), small_tensors)
    return path


@pytest.fixture
def conversions(monkeypatch):
    """The converted files, in order."""
    seen = []
    real_convert = convert.convert

    def count(path, card, ready, **options):
        seen.append(path)
        return real_convert(path, card, ready, **options)

    monkeypatch.setattr(convert, "convert", count)
    return seen


def files_of(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_an_nlvid_file_has_its_own_card_and_is_used_in_place(entry, own_file, cache):
    card, path = find_model(own_file)
    assert (card.name, path) == ("own.test", own_file)
    assert find_model(str(own_file)) == (card, path)
    assert find_model_card(own_file) == card
    assert not cache.exists()
    with pytest.raises(UsageError, match=r"own\.test"):
        find_model(own_file, "entry")


def test_an_nlvid_file_is_recognised_by_its_contents(entry, own_file):
    other = own_file.with_name("checkpoint.bin")
    own_file.rename(other)
    assert find_model(other)[0].name == "own.test"


def test_a_foreign_file_is_converted_once(entry, foreign, cache, conversions, small_tensors):
    card, path = find_model(foreign, "entry")
    assert path.parent == cache / "models"
    assert open_checkpoint(path)[0] == card
    for name, array in open_checkpoint(path)[1].items():
        np.testing.assert_array_equal(array, small_tensors[name])
    assert find_model(foreign, "entry.test") == (card, path)
    copy = foreign.with_name("copy.pkl")
    foreign.rename(copy)
    again = find_model(copy, "entry")
    assert again[1] != path  # its card has the name of the file
    assert conversions == [foreign, copy]


def test_a_changed_file_is_converted_again(entry, foreign, conversions, small_tensors):
    _, first = find_model(foreign, "entry")
    changed = {name: array + 1 for name, array in small_tensors.items()}
    foreign.write_bytes(pickle.dumps(changed, protocol=4))
    _, second = find_model(foreign, "entry")
    assert first != second
    np.testing.assert_array_equal(open_checkpoint(second)[1]["head.classifier.bias"], changed["head.classifier.bias"])


def test_a_changed_card_causes_a_new_conversion(entry, foreign, weights, make_card):
    _, first = find_model(foreign, "entry")
    weights(make_card(name="entry.test", aliases=["entry"], licence="another one"))
    card, second = find_model(foreign, "entry")
    assert (card.licence, first == second) == ("another one", False)


def test_other_weights_do_not_inherit_the_accuracy(entry, foreign):
    card, _ = find_model(foreign, "entry")
    assert card.name == "mine"
    assert (card.aliases, card.sources, card.accuracy) == ((), (), ())
    assert (card.licence, card.redistribution) == (entry.licence, False)
    assert (card.architecture, card.labels, card.sampling) == (entry.architecture, entry.labels, entry.sampling)


@pytest.mark.parametrize("kind", ["sha256", "sha256_prefix", "sha1"])
def test_the_published_file_gets_the_card_of_the_manifest(weights, make_card, foreign, tools, foreign_file, kind):
    import hashlib

    sums = {"sha256": tools.sha256(foreign_file), "sha1": hashlib.sha1(foreign_file).hexdigest()}
    sums["sha256_prefix"] = sums["sha256"][:8]
    card = make_card({"kind": "url", "url": "https://127.0.0.1:9/x", kind: sums[kind]}, name="entry.test")
    weights(card)
    assert find_model(foreign, "entry.test")[0] == card


def test_without_as_the_error_says_what_the_file_is_and_what_to_do(entry, foreign, weights, make_card):
    with pytest.raises(UsageError) as error:
        find_model(foreign)
    assert str(error.value).startswith(f"{foreign}: a checkpoint without a model card (format: nlvid); ")
    assert "--as NAME (its tensors fit entry.test; `nlvid models list` shows all)" in str(error.value)
    assert error.value.exit_status == 2
    named = make_card({"kind": "url", "url": "https://127.0.0.1:9/a/mine.pkl"}, name="named.test")
    weights(entry, named)
    with pytest.raises(UsageError, match=r"named\.test and 1 more"):
        find_model(foreign)


def test_safetensors_files_of_other_programs_need_as_too(entry, tmp_path, small_tensors):
    path = tmp_path / "plain.safetensors"
    path.write_bytes(save(small_tensors))
    with pytest.raises(UsageError, match="--as"):
        find_model(path)
    assert find_model(path, "entry")[0].name == "plain"


def test_as_must_name_a_model(entry, foreign):
    with pytest.raises(UnknownName, match="'entry'"):
        find_model(foreign, "entri")
    with pytest.raises(UnknownName, match="'entry'"):
        find_model("entri")


def test_as_is_refused_for_a_named_model(entry):
    with pytest.raises(UsageError, match="--as"):
        find_model("entry", "entry")


def test_the_card_of_a_named_model_needs_no_download(entry, cache):
    assert find_model_card("entry") == entry
    assert not cache.exists()


def test_weights_of_another_network_are_refused(entry, foreign, cache):
    tensors = {"stem.conv.weight": np.zeros((2, 3, 1, 7, 7), np.float32)}
    foreign.write_bytes(pickle.dumps(tensors, protocol=4))
    with pytest.raises((CheckpointMismatch, ModelFileError), match="mine"):
        find_model(foreign, "entry")
    assert files_of(cache) == []


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_hostile_file_is_refused_and_leaves_nothing(entry, foreign, cache, at_address):
    data = pickle.dumps({"stem.conv.weight": Evil()}, protocol=2)
    foreign.write_bytes(data)
    for reference in (foreign, at_address(data)):
        for as_name in (None, "entry"):
            with pytest.raises(UnsafeFile):
                find_model(reference, as_name)
    assert files_of(cache) == []


def test_what_is_not_a_model_file_is_refused(entry, tmp_path):
    for text, words in (
        ("none.pkl", r"none\.pkl"),
        (str(tmp_path), "folder"),
        ("x/y.onnx", "ONNX"),
        (
            "https://me:secret@127.0.0.1:1/y.onnx?x=1",
            r"^https://127\.0\.0\.1:1/y\.onnx: an ONNX file",
        ),
    ):
        with pytest.raises(ModelFileError, match=words):
            find_model(text)
    empty = tmp_path / "empty.pkl"
    empty.touch()
    with pytest.raises(ModelFileError, match=r"empty\.pkl"):
        find_model(empty, "entry")


def test_an_unreadable_file_is_not_reported_as_a_cache_error(entry, foreign, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelFileError, match=r"mine\.pkl: .*Permission denied"):
        find_model(foreign, "entry")


@pytest.fixture
def at_address(server, tools):
    """Put a file on the server."""

    def put(data, path=PATH):
        server.pages[path] = tools.Page(data)
        return server.url + path

    return put


def test_an_address_is_fetched_once_and_converted(entry, at_address, foreign_file, server, cache, tools, notes):
    url = at_address(foreign_file)
    notes.clear()
    card, path = find_model(url, "entry")
    assert card.name == "mine"
    assert notes == [
        "the authors of mine.pkl publish no hash of it; the downloaded file has the sha256 "
        + tools.sha256(foreign_file)
    ]
    assert find_model(url, "entry") == (card, path)
    assert len(server.requests) == 1
    assert files_of(cache) == [path.name]


def test_an_nlvid_file_at_an_address_needs_no_as(entry, at_address, own_file, server, cache):
    url = at_address(own_file.read_bytes(), "/own.safetensors")
    card, path = find_model(url)
    assert (card.name, path.read_bytes()) == ("own.test", own_file.read_bytes())
    assert find_model(url) == (card, path)
    assert len(server.requests) == 1
    assert files_of(cache) == [path.name]


def test_a_download_without_as_is_kept_for_the_next_call(entry, at_address, foreign_file, server, cache):
    url = at_address(foreign_file)
    with pytest.raises(UsageError, match=rf"{url}: .* --as .* entry\.test"):
        find_model(url)
    _, path = find_model(url, "entry")
    assert len(server.requests) == 1
    assert files_of(cache) == [path.name]


def test_a_download_with_a_superfluous_as_is_kept_for_the_next_call(entry, at_address, own_file, server):
    url = at_address(own_file.read_bytes(), "/own.safetensors")
    with pytest.raises(UsageError, match="--as"):
        find_model(url, "entry")
    assert find_model(url)[0].name == "own.test"
    assert len(server.requests) == 1


def dated(path):
    return datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()


@pytest.mark.parametrize("etag", [None, '"1"', 'W/"1"'])
@pytest.mark.parametrize("as_name", [None, "entry"])
def test_an_address_is_asked_again_only_for_the_newest_file(
    entry, make_card, own_file, at_address, foreign_file, small_tensors, server, cache, etag, as_name, notes
):
    place = "/mine.pkl" if as_name else "/mine.safetensors"

    def put(number):
        tensors = {name: array + number for name, array in small_tensors.items()}
        write_checkpoint(own_file, make_card(name="own.test"), tensors)
        url = at_address(pickle.dumps(tensors, protocol=4) if as_name else own_file.read_bytes(), place)
        server.pages[place].headers = {"ETag": etag.replace("1", str(number))} if etag else {}
        return url

    def find(**options):
        notes.clear()
        server.requests.clear()
        _, path = find_model(url, as_name, **options)
        return path, float(
            open_checkpoint(path)[1]["head.classifier.bias"][0] - small_tensors["head.classifier.bias"][0]
        )

    notes.clear()
    url = put(1)
    path, number = find(newest=True)
    assert number == pytest.approx(1)
    put(2)
    assert find() == (path, number)
    assert server.requests == []
    assert notes == [
        f"{url}: using the copy of {dated(path)}; `nlvid models pull` of the address looks for a newer one"
    ]
    assert find(newest=True) == (path, pytest.approx(2))
    assert find(newest=True) == (path, pytest.approx(2))
    assert len(server.requests) == 1
    if etag:
        assert notes == [f"{url}: the copy of {dated(path)} is the newest"]
    server.pages[place].status = 404
    assert find(newest=True) == (path, pytest.approx(2))
    assert notes == [
        f"{url}: {server.host}: {place[1:]}: not found (HTTP 404); using the copy of {dated(path)}, newest or not"
    ]
    assert files_of(cache) == [path.name, *([f"{path.name}.etag"] if etag else [])]


def test_pull_replaces_an_onnx_file_by_a_newer_one(run, entry, at_address, server, tmp_path, cache):
    models = [
        write_model(tmp_path / "mine.onnx", make_model(classes=3, last=last)).read_bytes() for last in (None, "Softmax")
    ]
    url = at_address(models[0], "/mine.onnx")
    pulled = run("models", "pull", url, "--as", "entry")
    assert pulled.status == 0, pulled.err
    at_address(models[1], "/mine.onnx")
    shown = run("models", "show", url, "--as", "entry")
    assert (shown.status, len(server.requests)) == (0, 1)
    assert f"note: {url}: using the copy of " in shown.err
    assert run("models", "pull", url, "--as", "entry").out == pulled.out
    assert Path(pulled.out.rstrip("\n")).read_bytes() == models[1]
    at_address(b"damaged", "/mine.onnx")
    assert run("models", "pull", url, "--as", "entry").status == 3
    assert Path(pulled.out.rstrip("\n")).read_bytes() == models[1]
    assert len(files_of(cache)) == 1


def test_the_copy_is_used_if_the_server_cannot_be_asked(entry, at_address, foreign_file, server, monkeypatch, notes):
    url = at_address(foreign_file)
    server.pages[PATH].headers = {"ETag": '"1"'}
    found = find_model(url, "entry")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", "http://me:se[cret@proxy")
    notes.clear()
    assert find_model(url, "entry", newest=True) == found
    assert notes[0].endswith(f"; using the copy of {dated(found[1])}, newest or not")
    assert "malformed" in notes[0]
    assert "cret@" not in notes[0]


def test_a_damaged_newer_file_does_not_replace_the_copy(entry, at_address, foreign_file, cache):
    url = at_address(foreign_file)
    _, path = find_model(url, "entry")
    before = path.read_bytes()
    at_address(foreign_file[:-100])
    with pytest.raises(ModelFileError):
        find_model(url, "entry", newest=True)
    assert files_of(cache) == [path.name]
    assert path.read_bytes() == before


def test_a_damaged_download_is_not_kept(entry, at_address, foreign_file, cache):
    url = at_address(foreign_file[:-100])
    with pytest.raises(ModelFileError):
        find_model(url, "entry")
    assert files_of(cache) == []
    at_address(foreign_file)
    assert find_model(url, "entry")[0].name == "mine"


def test_errors_do_not_show_the_secrets_of_an_address(entry, at_address, server):
    url = at_address(b"x").replace("http://", "http://me:hunter2@") + "?token=hunter2"
    server.pages[PATH].status = 404
    with pytest.raises(ModelUnavailable) as error:
        find_model(url)
    assert str(error.value) == f"{server.url}{PATH}: {server.host}: mine.pkl: not found (HTTP 404)"
    assert "authorization" in server.requests[0][2]


def test_plain_http_is_refused_for_other_machines(entry):
    with pytest.raises(ModelUnavailable, match=r"http://example\.org/x\.pkl: .*plain http"):
        find_model("http://example.org/x.pkl")


@pytest.mark.parametrize(
    "name", ["..", "../../x", "a\\..\\b", "-x", ".hidden", "n\0l", "ä" * 300, "x" * 300 + ".pkl", ""]
)
def test_no_name_leads_out_of_the_cache(name, cache):
    slot = Slot(safe_name(name), "0" * 16)
    for path, folder in ((slot.ready, "models"), (slot.lock, "locks"), (slot.download(name), "downloads")):
        assert path.resolve().parent == cache / folder
        assert len(path.name.encode()) < 250


def test_a_file_name_with_parent_folders_stays_in_the_cache(entry, at_address, foreign_file, cache, tmp_path):
    before = {path for path in tmp_path.rglob("*") if cache not in path.parents and path != cache}
    url = at_address(foreign_file, "/a/x%2F..%2F..%2Fescaped.pkl")
    _, path = find_model(url, "entry")
    assert path.parent == cache / "models"
    assert {path for path in tmp_path.rglob("*") if cache not in path.parents and path != cache} == before


def test_three_threads_make_one_download_and_one_conversion(entry, at_address, foreign_file, server, conversions):
    url = at_address(foreign_file)
    server.pages[PATH].faults = [("drip", 5000)]
    found = []
    threads = [Thread(target=lambda: found.append(find_model(url, "entry"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len({path for _, path in found}) == len(conversions) == len(server.requests) == 1


def test_a_cache_that_cannot_be_written_is_named(entry, foreign, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelUnavailable, match=r"file/cache .*NLVID_CACHE"):
        find_model(foreign, "entry")


def test_a_foreign_file_works_in_every_command(run, entry, foreign, tmp_path):
    pulled = run("models", "pull", foreign, "--as", "entry")
    assert pulled.status == 0
    assert open_checkpoint(pulled.out.rstrip("\n"))[0].name == "mine"
    assert run("models", "labels", foreign, "--as", "entry").out.split() == ["a", "b", "c"]
    assert "mine.pkl, read as entry.test" in run("models", "show", foreign, "--as", "entry").out
    clip = make_clip(tmp_path / "clip.mp4", frames=80)
    options = ("--clips", 1, "--device", "cpu", "-f", "json")
    outcome = run("classify", clip, "--model", foreign, "--as", "entry", *options)
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["model"] == "mine"
    asked = nlvid_cli.load(foreign, as_name="entry", clips=1, device="cpu")
    assert [score.label for score in asked.classify(clip).predictions] == [
        score["label"] for score in json.loads(outcome.out)["predictions"]
    ]


def test_errors_are_reported_on_stderr(run, entry, foreign):
    for arguments, status, words in (
        (("classify", "x.mp4", "--model", foreign), 2, "--as NAME"),
        (("classify", "x.mp4", "--as", "entry"), 2, "--as entry"),
        (("classify", "x.mp4", "-m", foreign, "--as", "entri"), 2, "'entry'"),
        (("models", "pull", "ftp://host/x"), 2, "not ftp://"),
        (("models", "labels", "hf://me/../x"), 2, "Hub"),
        (("models", "show", "none.pth"), 3, "none.pth"),
    ):
        outcome = run(*arguments)
        assert (outcome.status, outcome.out) == (status, "")
        assert outcome.err.startswith("error: ")
        assert words in outcome.err

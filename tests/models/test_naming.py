"""What a user means by the words that name a model."""

from pathlib import Path

import pytest

from nlvid_cli.card.card import HubSource
from nlvid_cli.errors import UsageError
from nlvid_cli.models.naming import file_name_of, hub_source, kind_of, without_secrets

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("i3d", "name"),
        ("i3dd", "name"),
        ("i3d-inception-64x1.deepmind-k400", "name"),
        ("nl-i3d-r50-8x8.fair-k40", "name"),
        ("i3d.pkl", "file"),
        ("MODEL.PTH", "file"),
        ("best.pth.tar", "file"),
        ("./i3d", "file"),
        ("runs/mine", "file"),
        ("here", "file"),
        (Path("i3d"), "file"),
        ("hf://owner/repo/model.safetensors", "hub"),
        ("https://host/model", "url"),
        ("HTTP://host/model", "url"),
    ],
)
def test_names_files_and_addresses_are_told_apart(reference, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    Path("i3d").touch()  # a name of the manifest goes before a file of the same name
    assert kind_of(reference) == kind


def test_other_addresses_are_refused():
    with pytest.raises(UsageError, match="ftp://host/x"):
        kind_of("ftp://host/x")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://[bad/x.safetensors", "https://[bad/x.safetensors"),
        ("https://me:se[cret@host/x.pkl?token=1", "https://***@host/x.pkl"),
        ("https://me:sec/ret@host/x.pkl", "https://***@host/x.pkl"),
        ("https:///x.pkl", "https:///x.pkl"),
    ],
)
def test_malformed_addresses_are_refused(url, shown):
    with pytest.raises(UsageError) as error:
        kind_of(url)
    assert str(error.value).startswith(f"{shown}: not a valid address; ")


def test_a_cache_in_an_unknown_home_folder_is_refused(run, monkeypatch):
    monkeypatch.setenv("NLVID_CACHE", "~no-such-user/x")
    outcome = run("models", "list")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: NLVID_CACHE=~no-such-user/x: there is no such user's home folder")


@pytest.mark.parametrize(
    ("text", "repo", "revision", "path"),
    [
        ("hf://me/repo/model.safetensors", "me/repo", "main", "model.safetensors"),
        ("hf://models/me/repo/model.safetensors", "me/repo", "main", "model.safetensors"),
        ("hf://me/repo@v1.0/a/b c.pkl", "me/repo", "v1.0", "a/b c.pkl"),
        ("hf://me/repo@refs/pr/3/a/b.pkl", "me/repo", "refs/pr/3", "a/b.pkl"),
        ("hf://me/repo@feature%2Fx/b.pkl", "me/repo", "feature/x", "b.pkl"),
        (f"hf://me/repo@{COMMIT}/b.pkl", "me/repo", COMMIT, "b.pkl"),
    ],
)
def test_hub_addresses_are_parsed(text, repo, revision, path):
    assert hub_source(text) == HubSource("hub", repo, path, revision)


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://me",
        "hf://me/repo",
        "hf://me/repo/",
        "hf://me/repo@v1",
        "hf://me/repo@/x",
        "hf://../repo/x",
        "hf://me/../x",
        "hf://me/repo/../x",
        "hf://me/repo/a/%2e%2e/x",
        "hf://me/repo/..%2F..%2Fx",
        "hf://me/repo/a//x",
        "hf://me/repo//etc/passwd",
        "hf://me/repo/..\\x",
        "hf://me/repo/a%00b",
        "hf://me/repo@../x",
        "hf://me/repo@..%2F..%2Fx/y",
        "hf://me/repo@%2e%2e/x",
        "hf://me/repo/\x1b[31mred",
    ],
)
def test_paths_out_of_a_repository_are_refused(text):
    with pytest.raises(UsageError, match="Hub"):
        hub_source(text)


def test_addresses_are_shown_without_secrets():
    assert without_secrets("https://me:hunter2@host:1/a/b.pkl?token=x#y") == "https://host:1/a/b.pkl"
    assert [file_name_of(f"https://host/{path}") for path in ("a/b%20c.pkl", "", "..", "a/%2e%2e?x=y")] == [
        "b c.pkl",
        "file",
        "..",
        "..",
    ]

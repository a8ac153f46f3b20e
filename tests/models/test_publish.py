"""``nlvid models push``: the real ``huggingface_hub`` client against a server that speaks the Hub's protocol."""

import base64
import hashlib
import json
from urllib.parse import unquote

import pytest

from nlvid_cli.card.card import Accuracy
from nlvid_cli.errors import UsageError
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.publish import Target, metadata
from nlvid_cli.models.readme import model_readme
from nlvid_cli.models.store.cache import slot_of
from nlvid_cli.models.store.lock import hold

TOKEN = "hf_" + "x" * 30


class FakeHub:
    """Repositories with branches of files. A push must have :data:`TOKEN`."""

    def __init__(self, server, tools):
        self.server, self.tools = server, tools
        self.repositories = {}
        self.branches = {}
        self.blobs = {}
        self.commits = []
        self.warnings = []
        self.refuse = {}
        server.take = self.take

    def take(self, method, path, body):
        *_, headers = self.server.requests[-1]
        for part, status in self.refuse.items():
            if part in path:
                return self.answer({"error": "no"}, status)
        if method == "PUT":
            self.blobs[path.rpartition("/")[2]] = body
            return self.answer({})
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid token"}, 401)
        data = [json.loads(line) for line in body.splitlines()]
        if path == "/api/repos/create":
            return self.create(data[0])
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": [{"message": text} for text in self.warnings]})
        if path.endswith("/info/lfs/objects/batch"):
            return self.answer({"objects": [self.upload(one) for one in data[0]["objects"]]})
        repo, _, rest = path.removeprefix("/api/models/").rpartition("/")[0].rpartition("/")
        revision = unquote(path.rpartition("/")[2])
        if rest == "branch":
            self.branches[repo].add(revision)
            return self.answer({})
        if rest == "preupload":
            return self.answer({"files": [self.mode(one["path"]) for one in data[0]["files"]]})
        assert rest == "commit", path
        return self.commit(repo, revision, data)

    def answer(self, data, status=200):
        return self.tools.Page(json.dumps(data).encode(), status, {"Content-Type": "application/json"})

    def create(self, data):
        repo = f"{data['organization']}/{data['name']}"
        there = repo in self.repositories
        if not there:
            self.add(repo, data.get("visibility") == "private" or bool(data.get("private")))
        return self.answer({"url": f"{self.server.url}/{repo}"}, 409 if there else 200)

    def add(self, repo, private):
        self.repositories[repo] = private
        self.branches[repo] = {"main"}
        info = {"id": repo, "modelId": repo, "private": private, "sha": "0" * 40, "siblings": [], "tags": []}
        self.server.pages[f"/api/models/{repo}"] = self.answer(info)

    def upload(self, one):
        return one | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}

    def mode(self, path):
        return {"path": path, "uploadMode": "regular" if path.endswith(".md") else "lfs", "shouldIgnore": False}

    def commit(self, repo, revision, lines):
        if revision not in self.branches[repo]:
            return self.answer({"error": "Invalid rev id"}, 404)
        oid = hashlib.sha1(json.dumps(lines).encode()).hexdigest()
        files = {}
        for line in lines[1:]:
            value = line["value"]
            data = self.blobs[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
            files[value["path"]] = data
        for name, data in files.items():
            headers = {"X-Repo-Commit": oid, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
            for place in (revision, oid):
                self.server.pages[f"/{repo}/resolve/{place}/{name}"] = self.tools.Page(data, headers=headers)
        self.commits.append((repo, revision, lines[0]["value"]["summary"], files))
        return self.answer({"commitUrl": f"{self.server.url}/{repo}/commit/{oid}", "commitOid": oid})


@pytest.fixture
def hub(server, tools):
    return FakeHub(server, tools)


@pytest.fixture
def card(make_card):
    figures = [
        {"data_set": "Kinetics-400 validation set", "metric": name, "value": value, "protocol": "30 views",
         "measured_by": "a README"}
        for name, value in (("top-1", 74.8), ("top-5", 92.07))
    ]  # fmt: skip
    fields = {"licence": "CC-BY-NC-4.0", "commercial_use": False, "accuracy": figures}
    return make_card(
        {"kind": "url", "url": "https://127.0.0.1:9/x.pkl"}, name="model.test", aliases=["model"], **fields
    )


@pytest.fixture
def model(card, small_tensors):
    """The model in the cache, with the card of an older version of nlvid."""
    with hold(slot_of(card)):
        write_checkpoint(slot_of(card).ready, type(card)(**(vars(card) | {"summary": "old words"})), small_tensors)
    return slot_of(card).ready


@pytest.fixture
def nlvid(server, card, tools):
    """Run a command line in a process of its own, since the library reads its variables when it is imported."""

    def run(*arguments, **environment):
        variables = {"HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        return tools.nlvid([card], *arguments, **variables | environment)

    return run


def test_a_model_is_pushed_in_one_commit_and_pulled_again(hub, nlvid, model, card, server, small_tensors, tmp_path):
    pushed = nlvid("models", "push", "model", "--to", "me/repo")
    assert (pushed.status, pushed.out) == (0, f"{server.url}/me/repo\n"), pushed.err
    assert "note: uploading model.safetensors, README.md (0 MB) to" in pushed.err
    assert hub.repositories == {"me/repo": False}
    ((repo, revision, summary, files),) = hub.commits
    assert (repo, revision, files.keys()) == ("me/repo", "main", {"model.safetensors", "README.md"})
    assert summary.startswith("model.test, by nlvid ")
    pulled = nlvid("models", "pull", "hf://me/repo/model.safetensors", HF_TOKEN="")
    assert pulled.status == 0, pulled.err
    own_card, tensors = open_checkpoint(pulled.out.rstrip("\n"))
    assert own_card == card
    assert tensors.keys() == small_tensors.keys()
    assert all((tensors[name] == array).all() for name, array in small_tensors.items())
    shown = nlvid("models", "labels", "hf://me/repo/model.safetensors")
    assert shown.out.split() == ["a", "b", "c"]


def test_a_pushed_model_classifies_a_video(hub, nlvid, model, tmp_path):
    from tests.clips import make_clip

    assert nlvid("models", "push", "model", "--to", "me/repo").status == 0
    clip = make_clip(tmp_path / "clip.mp4", frames=80)
    options = ("-f", "json", "--clips", "1", "--device", "cpu")
    outcome = nlvid("classify", clip, "--model", "hf://me/repo/model.safetensors", *options)
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["model"] == "model.test"
    assert sum(prediction["score"] for prediction in result["predictions"]) == pytest.approx(1, abs=0.02)


def test_a_second_push_replaces_the_cached_first(hub, nlvid, model, small_tensors, tmp_path):
    reference = "hf://me/repo/model.safetensors"
    other = tmp_path / "other.safetensors"
    for number in (1, 2):
        tensors = {name: array + number for name, array in small_tensors.items()}
        write_checkpoint(other, open_checkpoint(model)[0], tensors)
        assert nlvid("models", "push", other, "--to", "me/repo").status == 0
        pulled = nlvid("models", "pull", reference)
        got = open_checkpoint(pulled.out.rstrip("\n"))[1]["head.classifier.bias"]
        assert (got == tensors["head.classifier.bias"]).all()
    offline = nlvid("models", "pull", reference, HF_HUB_OFFLINE="1")
    assert (offline.status, offline.out) == (0, pulled.out)
    alone = nlvid("models", "pull", reference, HF_ENDPOINT="http://127.0.0.1:9")
    assert (alone.status, alone.out) == (0, pulled.out)
    assert "from the Hub's cache, newest or not (connection refused)" in alone.err


def test_a_local_file_with_its_onnx_file_to_a_branch_of_a_private_repository(hub, nlvid, model, server, tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(model.read_bytes())
    mine.with_suffix(".onnx").write_bytes(b"onnx")
    outcome = nlvid("models", "push", mine, "--to", "me/repo", "--private", "--revision", "v2")
    assert (outcome.status, outcome.out) == (0, f"{server.url}/me/repo/tree/v2\n"), outcome.err
    assert hub.repositories == {"me/repo": True}
    ((_, revision, _, files),) = hub.commits
    assert revision == "v2"
    assert files["model.onnx"] == b"onnx"
    assert files["model.safetensors"] == mine.read_bytes()
    assert "hf://me/repo@v2/model.safetensors" in files["README.md"].decode()
    assert "`model.onnx` is the same network" in files["README.md"].decode()
    assert nlvid("models", "labels", "hf://me/repo@v2/model.safetensors").status == 0


def test_private_is_refused_for_a_public_repository(hub, nlvid, model):
    hub.add("me/repo", private=False)
    outcome = nlvid("models", "push", "model", "--to", "me/repo", "--private")
    assert (outcome.status, outcome.out) == (3, "")
    assert "error: me/repo is already public" in outcome.err
    assert hub.commits == []
    assert nlvid("models", "push", "model", "--to", "me/repo").status == 0


def test_a_model_without_redistribution_is_refused_before_any_request(
    hub, nlvid, card, small_tensors, server, tmp_path
):
    bound = type(card)(**(vars(card) | {"redistribution": False, "licence": "none stated"}))
    path = tmp_path / "bound.safetensors"
    write_checkpoint(path, bound, small_tensors)
    outcome = nlvid("models", "push", path, "--to", "me/repo")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: model.test cannot be pushed: its licence (none stated) ")
    assert server.requests == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HF_TOKEN": ""}, "error: a push needs a token with write access: create one at http://127.0.0.1"),
        ({"HF_HUB_OFFLINE": "1"}, "error: HF_HUB_OFFLINE is set; unset it to push a model"),
    ],
)
def test_missing_settings_are_reported_before_any_request(hub, nlvid, server, cache, variables, words):
    outcome = nlvid("models", "push", "model", "--to", "me/repo", **variables)
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.startswith(words)
    assert server.requests == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("part", "status", "words"),
    [
        ("/repos/create", 401, "HF_TOKEN is not accepted (HTTP 401); create a new one with write access"),
        ("/repos/create", 403, "HF_TOKEN may not write to me/repo (HTTP 403); it needs write access there"),
        ("/repos/create", 500, "me/repo: the server has a problem (HTTP 500)"),
        ("/preupload", 403, "HF_TOKEN may not write to me/repo (HTTP 403)"),
        ("/lfs/", 403, "HF_TOKEN may not write to me/repo (HTTP 403)"),
        ("/commit/", 412, "me/repo: the server refuses (HTTP 412)"),
    ],
)
def test_a_refusal_of_the_hub_is_explained(hub, nlvid, model, server, part, status, words):
    hub.refuse[part] = status
    outcome = nlvid("models", "push", "model", "--to", "me/repo")
    assert (outcome.status, outcome.out) == (3, "")
    assert f"error: me/repo was not pushed: {server.host}: {words}" in outcome.err
    assert outcome.err.count("error:") == 1
    assert TOKEN not in outcome.err
    assert hub.commits == []


def test_a_rejected_token_is_reported(hub, nlvid, model):
    outcome = nlvid("models", "push", "model", "--to", "me/repo", HF_TOKEN="hf_wrong")
    assert outcome.status == 3
    assert "HF_TOKEN is not accepted (HTTP 401)" in outcome.err


def test_an_endpoint_without_a_server_is_reported(hub, nlvid, model):
    outcome = nlvid("models", "push", "model", "--to", "me/repo", HF_ENDPOINT="http://127.0.0.1:9")
    assert (outcome.status, outcome.out) == (3, "")
    assert "error: me/repo was not pushed: 127.0.0.1:9: connection refused\n" in outcome.err


def test_the_hubs_remarks_on_the_readme_are_notes(hub, nlvid, model):
    hub.warnings = ["empty or missing yaml metadata in repo card"]
    outcome = nlvid("models", "push", "model", "--to", "me/repo")
    assert outcome.status == 0, outcome.err
    assert "note: Warnings while validating metadata in README.md: - empty or missing yaml metadata" in outcome.err


@pytest.mark.parametrize("repo", ["me", "me/", "/me", "a/b/c", "me/re po", "https://host/me/repo", "../x"])
def test_invalid_targets_are_refused(repo):
    with pytest.raises(UsageError, match="is not a repository"):
        Target(repo)
    with pytest.raises(UsageError, match="branch"):
        Target("me/repo", revision="a b")


def test_the_metadata_has_the_form_of_the_hub(card):
    assert metadata(card).to_dict() == {
        "license": "cc-by-nc-4.0",
        "library_name": "nlvid",
        "pipeline_tag": "video-classification",
        "datasets": ["kinetics-400"],
        "tags": ["video-classification", "action-recognition", "nlvid"],
        "model-index": [
            {
                "name": "model.test",
                "results": [
                    {
                        "task": {"type": "video-classification"},
                        "dataset": {"name": "Kinetics-400 validation set", "type": "kinetics-400"},
                        "metrics": [
                            {"type": "accuracy", "value": 74.8, "name": "top-1 (%)"},
                            {"type": "accuracy", "value": 92.07, "name": "top-5 (%)"},
                        ],
                    }
                ],
            }
        ],
    }


def test_an_unknown_licence_is_other(make_card):
    data = metadata(make_card(name="x.test", licence="none stated for the weights", accuracy=[])).to_dict()
    assert (data["license"], data["license_name"], data["license_link"]) == ("other", "see-readme", "README.md")
    assert "datasets" not in data
    assert "model-index" not in data
    for text, name in (("Apache-2.0 (weights: x); MIT", "apache-2.0"), ("MIT", "mit"), ("mitigated", "other")):
        assert metadata(make_card(licence=text)).to_dict()["license"] == name


def test_the_readme_states_protocol_accuracy_and_licence(card):
    text = model_readme(card, "hf://me/repo/model.safetensors", has_onnx=False)
    for words in (
        "# model.test",
        "nlvid classify video.mp4 --model hf://me/repo/model.safetensors",
        'nlvid_cli.load("hf://me/repo/model.safetensors")',
        "| clips per video | 10, placed by the rule `ends` |",
        "| frames per clip | 64, step 1, counted at 25 frames/s |",
        "| crops per clip | 1 of 224 x 224 (`centre_down`) |",
        "| mean of R, G, B | 127.5, 127.5, 127.5, of values from 0 to 255 |",
        "| scores of the video | the mean of the scores of all views |",
        "| Kinetics-400 validation set | top-1 | 74.8 % | 30 views | a README |",
        "Licence: CC-BY-NC-4.0.",
        "**Not for commercial use**",
        "Paper: Carreira and Zisserman",
    ):
        assert words in text
    assert "onnx" not in text
    unmeasured = type(card)(**(vars(card) | {"accuracy": (), "commercial_use": True}))
    other = model_readme(unmeasured, "hf://me/repo/model.safetensors", has_onnx=True)
    assert "No figures are published for these weights" in other
    assert "Not for commercial use" not in other
    assert "model.onnx" in other


def test_a_cell_with_a_bar_stays_one_cell(card):
    figure = Accuracy("a|b", "top-1", 1.0, "x", "y")
    assert "| a\\|b | top-1 |" in model_readme(type(card)(**(vars(card) | {"accuracy": (figure,)})), "hf://x", False)

"""The manifest that ships, and errors in others."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nlvid_cli.card import manifest
from nlvid_cli.card.card import Labels
from nlvid_cli.errors import ModelFileError, UnknownName
from nlvid_cli.models.formats import FORMATS
from nlvid_cli.models.store.sources import SOURCES
from tests.conftest import make_card

GOOD = (manifest.weights_folder() / "manifest.toml").read_text()


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "manifest.toml"
        path.write_text(text)
        return manifest._read_manifest(path)

    return read_text


NAMES = {
    "deepmind-k400": "i3d-inception-64x1",
    "nlvid-weizmann": "nl1-i3d-inception-16x2",
    "fair-k400": "c2d-r50-8x8 nl-c2d-r50-8x8 i3d-r50-8x8 nl-i3d-r50-8x8 c2d-r50-32x2 nl-c2d-r50-32x2 i3d-r50-32x2 "
    "nl-i3d-r50-32x2 i3d-r50-32x4 nl-i3d-r50-32x4 i3d-r50-128x1 nl-i3d-r50-128x1",
    "pytorch-resnet3d-k400": "i3d-r50-32x2 nl-i3d-r50-32x2",
    "pyslowfast-k400": "i3d-r50-8x8 nl-i3d-r50-8x8 c2d-nopool-r50-8x8 c2d-r50-8x8",
    "pytorchvideo-k400": "i3d-r50-8x8 c2d-r50-8x8",
    "mmaction2-k400": "nl-i3d-r50-32x2 nl-i3d-r50-32x2-gaussian nl-i3d-r50-32x2-dot i3d-r50-32x2 i3d-r50-32x2-dense "
    "i3d-r50-32x2-heavy c2d-r50-8x8 c2d-r50-16x4 c2d-nopool-r50-8x8 c2d-nopool-r101-8x8",
    "gluoncv-k400": "i3d-r50-32x2 nl-i3d-r50-32x2 nl10-i3d-r50-32x2 i3d-r101-32x2 nl-i3d-r101-32x2 nl10-i3d-r101-32x2",
    "lfb-charades": "nl-i3d-r50-32x4 nl-i3d-r101-32x4",
}
"""Every published model whose network nlvid has."""


def test_every_published_model_has_its_entry():
    expected = [f"{network}.{family}" for family, networks in NAMES.items() for network in networks.split()]
    assert [card.name for card in manifest.load_manifest().models] == expected


def test_defaults_and_aliases():
    assert manifest.load_manifest().default == (
        "nl-i3d-r50-32x2.mmaction2-k400",
        "i3d-inception-64x1.deepmind-k400",
        "nl1-i3d-inception-16x2.nlvid-weizmann",
    )
    assert manifest.find_card("nl-i3d").architecture.nonlocal_blocks.pairwise == "embedded_gaussian"
    assert manifest.find_card("nl-i3d").name == "nl-i3d-r50-32x2.mmaction2-k400"
    assert manifest.find_card("nl-i3d-charades").name == "nl-i3d-r101-32x4.lfb-charades"


PUBLISHED_SUMS = {
    "nlvid": ["sha256"],
    "deepmind": ["sha256", "member_sha256"],
    "mmaction2": ["sha256_prefix"],
    "gluoncv": ["sha1"],
}
"""Published hashes; the other families publish none."""


@pytest.mark.parametrize("card", manifest.load_manifest().models, ids=lambda card: card.name)
def test_every_entry_is_whole(card):
    family = card.name.rpartition(".")[2].partition("-")[0]
    assert card.format in (*FORMATS, "safetensors")
    assert len(manifest.label_names(card)) == card.labels.count
    assert card.accuracy
    for source in card.sources:
        assert source.kind in SOURCES
        sums = [name for name in ("sha256", "sha256_prefix", "sha1", "member_sha256") if getattr(source, name, None)]
        assert sums == PUBLISHED_SUMS.get(family, [])
    assert card.commercial_use == (family not in ("fair", "pytorch", "nlvid"))
    # the name says the network, the frames and the step
    network, size = card.name.partition(".")[0].split("-"), f"{card.sampling.frames}x{card.sampling.step}"
    blocks = card.architecture.nonlocal_blocks
    assert (size in network) != (family == "pytorch"), "pytorch-resnet3d tests weights of step 2 with step 1"
    assert len(blocks.after if blocks else ()) == {"nl1": 1, "nl": 5, "nl10": 10}.get(network[0], 0)


RULES = {
    "deepmind": "ends loop half_up swscale_bilinear centre_down softmax_of_mean mean",
    "nlvid": "ends loop half_up swscale_bilinear centre_down softmax_of_mean mean",
    "fair": "wrapped loop float32_floor opencv_bilinear even mean_of_softmax mean",
    "pytorch": "ends_truncated loop floor swscale_bilinear centre_half_even softmax_of_mean softmax_of_mean_logits",
    "pyslowfast": "scaled_windows hold floor float_bilinear centre_up mean_of_softmax mean",
    "pytorchvideo": "timed_windows hold floor float_bilinear centre_up softmax_of_mean mean",
    "mmaction2": "ends loop half_up opencv_bilinear even_centre_last softmax_of_mean mean",
    "gluoncv": "ends_strided hold stretched_340x256 swscale_bilinear centre_down softmax_of_mean "
    "softmax_of_mean_logits",
    "lfb": "centred_segments hold floor opencv_bilinear centre_up mean_of_sigmoid maximum",
}
"""Test protocols: clip starts, short videos, size, interpolation, crops, scores of a view, scores of the video."""


GREY = ((114.75, 114.75, 114.75), (57.375, 57.375, 57.375))
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALVES = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
MEANS = {
    "deepmind": HALVES,
    "nlvid": HALVES,
    "fair": GREY,
    "pytorch": GREY,
    "pyslowfast": GREY,
    "pytorchvideo": GREY,
    "mmaction2": IMAGENET,
    "gluoncv": IMAGENET,
    "lfb": GREY,
}
"""Means and standard deviations of red, green and blue, in units of [0, 255]."""


@pytest.mark.parametrize("card", manifest.load_manifest().models, ids=lambda card: card.name)
def test_every_model_is_tested_as_its_family_does_it(card):
    sampling, preprocess, head = card.sampling, card.preprocess, card.architecture.head
    network, _, family = card.name.rpartition(".")
    expected = RULES[family.partition("-")[0]].split()
    if network.endswith("-dense"):
        expected[0] = "ends_truncated"
    if family.startswith("mmaction2") and "nopool" in network:
        expected[-1] = "softmax_of_mean_logits"
    combine = card.labels.combine or {"single": "mean", "multi": "maximum"}[card.labels.kind]
    rules = [sampling.clip_starts, sampling.short_video, preprocess.size, preprocess.resize, preprocess.crop_positions]
    assert [*rules, head.scores, combine] == expected
    assert sampling.clips == 10
    mean, std = MEANS[family.partition("-")[0]]
    assert (preprocess.mean, preprocess.std) == (mean, std)
    small = {"deepmind": (256, 224), "nlvid": (128, 112)}
    sides = (224, 224) if "c2d" in network and family.startswith("mmaction2") else (256, 256)
    assert (preprocess.short_side, preprocess.crop) == small.get(family.partition("-")[0], sides)
    slow = {"deepmind": 25.0, "nlvid": 25.0, "lfb": 24.0}
    assert sampling.frame_rate == slow.get(family.partition("-")[0])


def test_the_i3d_states_the_accuracy_of_these_very_weights():
    card = manifest.find_card("i3d")
    assert [(figure.metric, figure.value) for figure in card.accuracy] == [("top-1", 68.4), ("top-5", 88.0)]
    assert (card.sampling.frames, card.sampling.clips, card.sampling.frame_rate) == (64, 10, 25.0)
    assert manifest.label_names(card)[5:7] == ("archery", "arm wrestling")


def test_an_alias_and_a_name_give_the_same_card():
    assert manifest.find_card("i3d") is manifest.find_card("i3d-inception-64x1.deepmind-k400")


@pytest.mark.parametrize("name", ["i3", "i3d-inception-64x1.deepmind-k40", "I3D"])
def test_a_misspelt_name_gets_a_suggestion(name):
    with pytest.raises(UnknownName, match=r"did you mean .*i3d") as error:
        manifest.find_card(name)
    assert error.value.exit_status == 2


def test_an_unknown_name_without_suggestion_points_to_the_list():
    with pytest.raises(UnknownName, match=r"'zzz' \(`nlvid models list`"):
        manifest.find_card("zzz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("default =", "defaults =", "'defaults' is an unknown key|'default' is a missing key"),
        ('default = ["nl-', 'default = ["ml-', "default names 'ml-i3d"),
        ("default = [", "default = [[[", "cannot read"),
        ("default = [", "default = [5, ", "'default' must be a list of names"),
        ("frames = 64", "frames = 64\nframe = 1", "i3d-inception.*: .*sampling.frame: unexpected"),
        ("frames = 64", "frames = 0", "sampling.frames: .*greater than 0"),
        ("step = 1\n", "", "sampling.step: .*required"),
        ('kind = "index"', 'kind = "ftp"', "sources.0: .*'ftp'"),
        ('sha256 = "2e8e', 'sha256 = "2E8E', "sources.0.index.sha256"),
        ('aliases = ["i3d"]', 'aliases = ["i3d", "i3d"]', "the name 'i3d' for"),
    ],
)
def test_errors_name_their_place(read, old, new, message):
    assert old in GOOD
    with pytest.raises(ModelFileError, match=message):
        read(GOOD.replace(old, new, 1))


def test_the_number_of_labels_must_be_that_of_the_card(monkeypatch, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "two.txt").write_text("running\nswimming\n")
    monkeypatch.setattr(manifest, "weights_folder", lambda: tmp_path)
    assert manifest.label_names(make_card(labels=Labels("single", 2, file="two.txt"))) == ("running", "swimming")
    for labels in (
        Labels("single", 3, file="two.txt"),
        Labels("single", 2, file="none.txt"),
        Labels("single", 2),
        Labels("single", 2, names=("one",)),
    ):
        card = make_card(labels=labels)
        with pytest.raises(ModelFileError, match=re.escape(card.name)):
            manifest.label_names(card)


def test_the_weights_folder_is_found_inside_an_installed_package(tmp_path):
    package = Path(manifest.__file__).parents[1]
    shutil.copytree(package, tmp_path / "nlvid_cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(manifest.weights_folder(), tmp_path / "nlvid_cli" / "weights")
    code = "from nlvid_cli.card.manifest import weights_folder, load_manifest as m; m(); print(weights_folder())"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(run.stdout.strip()) == tmp_path / "nlvid_cli" / "weights"
    shutil.rmtree(tmp_path / "nlvid_cli" / "weights")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "weights/manifest.toml is missing" in run.stderr

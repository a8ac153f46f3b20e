"""Cards: to JSON and back, other views, and errors that name the place."""

import json

import pytest

from nlvid_cli.card.card import card_from_dict, card_from_json, card_to_json
from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import ModelFileError


def test_a_card_survives_json():
    card = find_card("i3d")
    assert card_from_json(card_to_json(card), "test") == card
    assert card_from_dict(json.loads(card_to_json(card)), "test") == card


def test_other_views_leave_the_rest_alone():
    card = find_card("i3d")
    assert card.with_views(None, None, None) == card
    changed = card.with_views(clips=3, crops=3, step=2)
    assert (changed.sampling.clips, changed.preprocess.crops, changed.sampling.step) == (3, 3, 2)
    assert changed.with_views(card.sampling.clips, card.preprocess.crops, card.sampling.step) == card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"a\.safetensors: .* card.* colour: unexpected"),
        ({"name": 5}, "name: input should be a valid string"),
        ({"architecture": {"kind": "perceiver"}}, "architecture.*"),
        ({"sources": [{"kind": "url", "url": "file:///etc/passwd"}]}, r"sources\.0\.url\.url: string should match"),
        ({"sources": [{"kind": "bundled", "path": "../secret"}]}, r"sources\.0\.bundled\.path: string should match"),
        ({"sources": [{"kind": "bundled", "path": "/etc/passwd"}]}, r"sources\.0\.bundled\.path: string should"),
        ({"labels": {"kind": "single", "count": 1, "file": "../../x"}}, r"labels\.file: string should match"),
        ({"preprocess": None}, "preprocess: "),
        ({"temperature": 0.0}, "temperature: input should be greater than"),
        ({"labels": {"kind": "single", "count": 10**10}}, r"labels\.count: input should be less than"),
    ],
)
def test_every_fault_names_its_place(change, message):
    data = json.loads(card_to_json(find_card("i3d"))) | change
    with pytest.raises(ModelFileError, match=message):
        card_from_json(json.dumps(data), "a.safetensors")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"width": 10**9}, "width"),
        ({"blocks": (3, 4, 10**6, 3)}, r"blocks\.2"),
        ({"last_dilation": 10**6}, "last_dilation"),
        ({"stem": {"kernel": (10**4, 7, 7), "stride": (1, 2, 2)}}, r"stem\.kernel\.0"),
        ({"pool1": {"kernel": (1, 3, 3), "stride": (1, 2, 2), "padding": (0, -1, 0)}}, r"pool1\.padding\.1"),
        ({"nonlocal_blocks": {"after": ("res4.1",), "inner_channels": 10**9}}, r"nonlocal_blocks\.inner_channels"),
        ({"norm_eps": float("nan")}, "norm_eps"),
    ],
)
def test_absurd_networks_are_refused(change, place):
    data = json.loads(card_to_json(find_card("nl-i3d")))
    data["architecture"] |= change
    with pytest.raises(ModelFileError, match=rf"a\.safetensors: .*architecture\.resnet\.{place}: "):
        card_from_dict(data, "a.safetensors")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("sampling", {"frame_rate": 0.0}),
        ("sampling", {"frame_rate": float("nan")}),
        ("sampling", {"step": 10**18}),
        ("preprocess", {"std": (1.0, 0.0, 1.0)}),
        ("preprocess", {"mean": (1.0, 0.0, float("inf"))}),
    ],
)
def test_impossible_preprocessing_is_refused(part, change):
    data = json.loads(card_to_json(find_card("i3d")))
    data[part] |= change
    with pytest.raises(ModelFileError, match=rf"a\.safetensors: .*{part}\.{next(iter(change))}.*: input should be"):
        card_from_dict(data, "a.safetensors")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("sampling", {"frames": 10**6}),
        ("sampling", {"clips": 10**6}),
        ("preprocess", {"crop": 10**5}),
        ("preprocess", {"short_side": 10**5}),
    ],
)
def test_views_too_large_for_any_memory_are_refused(part, change):
    data = json.loads(card_to_json(find_card("i3d")))
    data[part] |= change
    with pytest.raises(ModelFileError, match=r"a\.safetensors: .* frames of .* pixels"):
        card_from_json(json.dumps(data), "a.safetensors")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, '{"name": NaN}', '{"a": 1, "a": 1}'])
def test_what_is_not_a_card_is_an_error(text):
    with pytest.raises(ModelFileError, match="card"):
        card_from_json(text, "a.safetensors")


@pytest.mark.parametrize("field", ["name", "summary", "licence", "labels"])
def test_texts_with_control_characters_are_refused(field):
    data = json.loads(card_to_json(find_card("i3d")))
    evil = "a\x1b]0;title\x07"
    data[field] = {"kind": "single", "count": 1, "names": [evil]} if field == "labels" else evil
    with pytest.raises(ModelFileError, match=f"{field}.*should match pattern"):
        card_from_dict(data, "test")


@pytest.mark.parametrize("value", [1e308, 0, -1, 1e-4, 1001, float("nan"), float("inf"), "1e308", None])
def test_temperatures_that_no_model_has_are_refused(value):
    data = json.loads(card_to_json(find_card("i3d"))) | {"temperature": value}
    with pytest.raises(ModelFileError, match="temperature"):
        card_from_dict(data, "test")


@pytest.mark.parametrize("value", [0.001, 1, 1.5, 1000.0])
def test_temperatures_that_a_model_may_have(value):
    data = json.loads(card_to_json(find_card("i3d"))) | {"temperature": value}
    assert card_from_dict(data, "test").temperature == value


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["run", ""], r"labels\.names\.1"),
        (["run", " \u3000"], r"labels\.names\.1"),
        (["run", "run"], "two labels are called 'run'"),
        (["run", "x" * 2**20], r"labels\.names\.1: .*at most 1000"),
        (["", "", "", "", "", "", ""], "and 2 more"),
        ("run", r"labels\.names"),
        ([1, 2], r"labels\.names\.0"),
        (["run", "a\ud800"], r"labels\.names\.1"),
    ],
)
def test_labels_that_no_table_can_show_are_refused(names, message):
    data = json.loads(card_to_json(find_card("i3d")))
    data["labels"] = {"kind": "single", "count": len(names), "names": names}
    with pytest.raises(ModelFileError, match=message) as error:
        card_from_dict(data, "test")
    assert len(str(error.value)) < 1000


def test_a_message_is_short_whatever_the_keys():
    data = {"x" * 2**20 + str(number): 1 for number in range(10)}
    with pytest.raises(ModelFileError, match="more") as error:
        card_from_dict(data, "test")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("field", ["summary", "licence", "paper", "origin", "name"])
def test_long_texts_are_refused(field):
    data = json.loads(card_to_json(find_card("i3d"))) | {field: "x" * 2000}
    with pytest.raises(ModelFileError, match=f"{field}: .*at most"):
        card_from_dict(data, "test")

"""The classes of a data set and the labels of a model: which is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nlvid_cli.datasets.decimals import decimal_value, place_of, places_by_value
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, UnknownName, UsageError, did_you_mean

EXAMPLES = 3
"""Names that a note or an error lists at most."""


def read_for_model(path: Path, labels: Sequence[str], root: Path | None = None, skip_missing: bool = False) -> DataSet:
    """Read a data set that a model is to be evaluated on, for :func:`match_classes`.

    Args:
        path: as for :func:`read_data_set`, and so are the last two.
        labels: of the model.
        root: of relative paths.
        skip_missing: leave out videos that are not there.

    Raises:
        DataSetError: nothing there is a data set, or something is wrong in it.
    """
    try:
        return read_data_set(path, None, root, skip_missing)
    except DataSetError:  # one class alone is nothing to train on, but may be evaluated on: read as the model's
        return read_data_set(path, labels, root, skip_missing)


def match_classes(data: DataSet, labels: Sequence[str], model: str) -> tuple[DataSet, tuple[str, ...]]:
    """The same videos, with indices into the labels of the model; and what is to be told of it.

    A class of the data set is the label of that name, or else the one that has the same letters and digits
    (``air_drumming`` is ``air drumming``), or is the same number (``1`` is ``01``). If all classes are called by
    numbers and the labels are not, these are places in the model's order.

    Args:
        data: only classes that some video shows matter.
        labels: of the model, in its order.
        model: its name, for messages.

    Raises:
        UnknownName: no label is called like some class.
        UsageError: the data set has no video.
    """
    if not data.videos:
        raise UsageError("the data set holds no video to evaluate on")
    shown = {index: video for video in reversed(data.videos) for index in video.labels}
    names = {index: data.classes[index] for index in sorted(shown)}
    to_model = _by_name(names, labels)
    numbered = not to_model
    if numbered:
        to_model = _by_place(names, labels)
    if not to_model:
        raise _other_classes(list(names.values()), labels, model)
    for index, name in names.items():
        if index not in to_model:
            raise _unknown(name, shown[index], labels, model)
    videos = tuple(replace(video, labels=tuple(to_model[index] for index in video.labels)) for video in data.videos)
    notes = _numbers_note(names, labels, to_model) if numbered else _spelling_note(names, labels, to_model)
    return replace(data, videos=videos, classes=tuple(labels)), notes + _share_note(labels, to_model)


def _by_name(names: Mapping[int, str], labels: Sequence[str]) -> dict[int, int]:
    """Place of each class among the labels, where there is one."""
    places = {label: place for place, label in enumerate(labels)}
    by_letters, by_value = _by_letters(labels), places_by_value(labels)
    found = {
        index: places.get(name, by_letters.get(_letters(name), by_value.get(decimal_value(name) or "")))
        for index, name in names.items()
    }
    return {index: place for index, place in found.items() if place is not None}


def _by_place(names: Mapping[int, str], labels: Sequence[str]) -> dict[int, int]:
    """Each class as a place among the labels, if all of them can be that."""
    places = {index: place for index, name in names.items() if (place := place_of(name, labels)) is not None}
    return places if len(places) == len(names) else {}


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _by_letters(labels: Sequence[str]) -> dict[str, int]:
    """Index by letters and digits; without those that several labels share."""
    spelt = [_letters(label) for label in labels]
    return {letters: index for index, letters in enumerate(spelt) if letters and spelt.count(letters) == 1}


def _other_classes(names: Sequence[str], labels: Sequence[str], model: str) -> UnknownName:
    if not names:
        return UnknownName("none of the videos has a label to compare with")
    return UnknownName(
        f"the data set has other classes than {model}: none of its {len(names)} ({_examples(names)}) is among the "
        f"model's {len(labels)} ({_examples(labels)}); evaluate the model that was trained on them"
    )


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")


def _unknown(name: str, video: LabelledVideo, labels: Sequence[str], model: str) -> UnknownName:
    hint = f"{video.where}; `nlvid models labels {model}` lists the {len(labels)} labels that the model knows"
    return did_you_mean("label", name, labels, hint)


def _numbers_note(names: Mapping[int, str], labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    index = next(iter(names))
    example = f"{names[index]} as {labels[to_model[index]]!r}"
    return (f"the data set's labels are numbers, taken as places, from 0, among the model's labels: {example}",)


def _spelling_note(names: Mapping[int, str], labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    pairs = [(name, labels[to_model[index]]) for index, name in names.items() if name != labels[to_model[index]]]
    if not pairs:
        return ()
    examples = ", ".join(f"{name!r} as {label!r}" for name, label in pairs[:EXAMPLES])
    more = f" and {len(pairs) - EXAMPLES} more" if len(pairs) > EXAMPLES else ""
    return (f"classes are spelt otherwise in the data set and were matched: {examples}{more}",)


def _share_note(labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    shown = len(set(to_model.values()))
    if shown == len(labels):
        return ()
    return (
        f"{shown} of the model's {len(labels)} labels occur; means over classes are over these, and the model still "
        "chooses among all",
    )

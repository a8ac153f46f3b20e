"""Match the classes of a data set with the labels of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.numbered_labels import class_index, decimal_value, indices_by_value
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, UnknownName, UsageError, did_you_mean, shortened

EXAMPLES = 3
"""Names listed in a note or an error."""


def read_for_model(path: Path, labels: Sequence[str], root: Path | None = None, skip_missing: bool = False) -> DataSet:
    """Read a data set to evaluate a model on; :func:`match_classes` comes next.

    Args:
        path: See :func:`read_data_set`.
        labels: Labels of the model.
        root: See :func:`read_data_set`.
        skip_missing: See :func:`read_data_set`.

    Raises:
        DataSetError: The path is not a data set, or something in it is wrong.
    """
    try:
        return read_data_set(path, None, root, skip_missing)
    except DataSetError:  # a single class cannot be trained on, but a model can be evaluated on it
        return read_data_set(path, labels, root, skip_missing)


def match_classes(data: DataSet, labels: Sequence[str], model: str) -> tuple[DataSet, tuple[str, ...]]:
    """Replace the classes of a data set by the labels of a model.

    A class matches the label of the same name, or else the one with the same letters and digits (``air_drumming`` is
    ``air drumming``) or the same value (``1`` is ``01``). If all classes are numbers and the labels are not, the
    numbers are indices of labels.

    Args:
        data: Data set; classes without videos are ignored.
        labels: Labels of the model, in its order.
        model: Name of the model, for messages.

    Returns:
        The data set with indices into ``labels``, and notes for the user.

    Raises:
        UnknownName: A class matches no label.
        UsageError: The data set has no video.
    """
    if not data.videos:
        raise UsageError("no video in the data set")
    shown = {index: video for video in reversed(data.videos) for index in video.labels}
    names = {index: data.classes[index] for index in sorted(shown)}
    to_model = _by_name(names, labels)
    numbered = not to_model
    if numbered:
        to_model = _by_index(names, labels)
    if not to_model:
        raise _other_classes(list(names.values()), labels, model)
    for index, name in names.items():
        if index not in to_model:
            raise _unknown(name, shown[index], labels, model)
    videos = tuple(replace(video, labels=tuple(to_model[index] for index in video.labels)) for video in data.videos)
    notes = _numbers_note(names, labels, to_model) if numbered else _spelling_note(names, labels, to_model)
    return replace(data, videos=videos, classes=tuple(labels)), notes + _share_note(labels, to_model)


def _by_name(names: Mapping[int, str], labels: Sequence[str]) -> dict[int, int]:
    """FolderOrTable of each class among the labels, where there is one."""
    by_spelling = {label: index for index, label in enumerate(labels)}
    by_letters, by_value = _by_letters(labels), indices_by_value(labels)
    found = {
        index: by_spelling.get(name, by_letters.get(_letters(name), by_value.get(decimal_value(name) or "")))
        for index, name in names.items()
    }
    return {index: label for index, label in found.items() if label is not None}


def _by_index(names: Mapping[int, str], labels: Sequence[str]) -> dict[int, int]:
    """Each class as an index of a label, if all of them can be."""
    found = {index: label for index, name in names.items() if (label := class_index(name, labels)) is not None}
    return found if len(found) == len(names) else {}


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _by_letters(labels: Sequence[str]) -> dict[str, int]:
    """Index by letters and digits; leaves out spellings that several labels share."""
    spelt = [_letters(label) for label in labels]
    return {letters: index for index, letters in enumerate(spelt) if letters and spelt.count(letters) == 1}


def _other_classes(names: Sequence[str], labels: Sequence[str], model: str) -> UnknownName:
    if not names:
        return UnknownName("no video in the data set has a label")
    return UnknownName(
        f"none of the {len(names)} classes of the data set ({_examples(names)}) is among the "
        f"{len(labels)} labels of {model} ({_examples(labels)}); evaluate a model that was trained on them"
    )


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")


def _unknown(name: str, video: LabelledVideo, labels: Sequence[str], model: str) -> UnknownName:
    hint = f"{video.where}; `nlvid models labels {model}` lists the {len(labels)} labels of the model"
    return did_you_mean("label", name, labels, hint)


def _numbers_note(names: Mapping[int, str], labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    index = next(iter(names))
    example = f"{names[index]} as {labels[to_model[index]]!r}"
    return (f"the labels of the data set are numbers, taken as indices, from 0, of the model's labels: {example}",)


def _spelling_note(names: Mapping[int, str], labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    pairs = [(name, labels[to_model[index]]) for index, name in names.items() if name != labels[to_model[index]]]
    if not pairs:
        return ()
    examples = shortened([f"{name!r} as {label!r}" for name, label in pairs], EXAMPLES)
    return (f"matched classes that are spelled differently: {examples}",)


def _share_note(labels: Sequence[str], to_model: Mapping[int, int]) -> tuple[str, ...]:
    shown = len(set(to_model.values()))
    if shown == len(labels):
        return ()
    return (
        f"{shown} of the model's {len(labels)} labels occur in the data set; means over classes are over these, and "
        "the model still chooses among all",
    )

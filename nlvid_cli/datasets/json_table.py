"""Tables of labelled videos in JSON: an object a line, or one document as data sets and annotation tools publish it.

::

    [{"id": "78687", "label": "holding a potato", "template": "Holding [something]"}, ...]        Something-Something
    [{"vid_name": "x_00000", "label": 26, "start_frame": 0, "end_frame": 161}, ...]                          Diving48
    [{"data": {"video": "a.mp4"}, "annotations": [{"result": [{"value": {"choices": ["run"]}}]}]}]       Label Studio
    {"database": {"ID": {"subset": "training", "annotations": [{"segment": [1, 2], "label": "run"}]}}}    ActivityNet
    {"a.mp4": "run", "b.mp4": {"label": "walk", "split": "val"}}                               an object by path or ID
    {"run": ["a.mp4", "c.mp4"], "walk": ["b.mp4"]}                                                    videos by label
    {"train": [{"path": "a.mp4", "label": "run"}], "val": [...]}                                     objects by split
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlvid_cli.datasets.table_rows import LABEL_COLUMNS, SPLITS, Cell, Table, TableRow, is_known_column
from nlvid_cli.errors import DataSetError, Unlabelled, shortened
from nlvid_cli.inputs.separated import PATH_COLUMNS, column_name
from nlvid_cli.inputs.text import parse_json
from nlvid_cli.video.suffixes import is_video_name

Object = Mapping[str, Any]

SHOWN_KEYS = 8
"""Keys of a document that an error lists."""

_UPLOAD = re.compile(r"^/?data/upload/(?:\d+/)?")
"""Beginning of the address of a file that was uploaded to Label Studio."""


def read_json_lines(path: Path, lines: Sequence[str]) -> Table:
    """Read an object a line.

    Raises:
        DataSetError: A line is not a JSON object; names the line.
    """
    objects = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        value = parse_json(line, where)
        if not isinstance(value, dict):
            raise DataSetError(f'{where}: not a JSON object such as {{"path": "clips/a.mp4", "label": "run"}}')
        objects.append((number, value))
    return _table(path, "JSONL", "line", objects)


def read_json_document(path: Path, text: str) -> Table:
    """Read one JSON document, in any form of this module.

    Raises:
        Unlabelled: The document lists videos without labels.
        DataSetError: The text is not JSON, or not a list of labelled videos; names the keys that it has.
    """
    document = parse_json(text, str(path))
    try:
        objects = list(_objects(document, path))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataSetError(
            f"{path}: entries of this JSON document have no form that nlvid knows; write a table with the columns path "
            "and label, or an object with both a line (JSONL)"
        ) from None
    if not objects:
        raise DataSetError(f"{path}: no videos in this JSON document")
    return _table(path, "JSON", "entry", list(enumerate(objects, start=1)))


def is_one_object(text: str, path: Path) -> bool:
    """Whether a text that begins with ``{`` is one object of several entries, and not an object a line."""
    try:
        document = parse_json(text, str(path))
    except DataSetError:
        return False
    columns = {column_name(key) for key, value in document.items() if not isinstance(value, dict)}
    return not (columns & {*PATH_COLUMNS} and columns & {*LABEL_COLUMNS})


def _objects(document: Any, path: Path) -> Iterator[Object]:
    if isinstance(document, dict):
        yield from _objects_of_dict(document, path)
        return
    for number, item in enumerate(document if isinstance(document, list) else (), start=1):
        if not isinstance(item, dict):
            raise DataSetError(f'{path}, entry {number}: not an object such as {{"path": "a.mp4", "label": "run"}}')
        yield from _label_studio(item, f"{path}, entry {number}") if _is_label_studio(item) else (_plain(item),)


def _objects_of_dict(document: Object, path: Path) -> Iterator[Object]:
    if isinstance(document.get("database"), dict):
        for name, video in document["database"].items():
            yield from _activity_net(name, video, path)
        return
    lists = [name for name, value in document.items() if isinstance(value, list) and _are_objects(value)]
    if lists and all(name.casefold() in SPLITS for name in lists):
        for name in lists:
            yield from ({"split": name} | dict(item) for item in _objects(document[name], path))
    elif len(lists) == 1:
        yield from _objects(document[lists[0]], path)
    elif document and all(_are_videos(value) for value in document.values()):
        yield from ({"path": video, "label": label} for label, videos in document.items() for video in videos)
    elif document and not lists and all(isinstance(value, str) for value in document.values()):
        if all(value.isdecimal() for value in document.values()) or all(map(str.isdecimal, document)):
            raise DataSetError(f"{path}: names classes by number, and no videos; name the table of videos beside it")
        yield from ({"path": name, "label": label} for name, label in document.items())
    elif document and not lists and all(isinstance(value, dict) for value in document.values()):
        for name, value in document.items():
            yield {"path": name} | value
    else:
        keys = shortened(list(document), SHOWN_KEYS)
        raise DataSetError(
            f"{path}: one JSON document with {keys}, which is no form of a data set that nlvid knows; write a table "
            "with the columns path and label, or an object with both a line (JSONL)"
        )


def _are_objects(items: Sequence[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) for item in items)


def _are_videos(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and is_video_name(one) for one in value)


def _plain(item: Object) -> Object:
    """Take the template of Something-Something as the label: the label itself describes the one video."""
    if isinstance(item.get("template"), str) and "id" in item:
        label = re.sub(r"[\[\]]", "", item["template"])
        return {key: value for key, value in item.items() if key not in ("template", "placeholders")} | {"label": label}
    if isinstance(item.get("choice"), dict) and isinstance(item["choice"].get("choices"), list):
        item = dict(item) | {"choice": item["choice"]["choices"]}
    return item


def _is_label_studio(item: Object) -> bool:
    return isinstance(item.get("data"), dict) and ("annotations" in item or "completions" in item)


def _label_studio(item: Object, where: str) -> Iterator[Object]:
    """Yield the labelled video of a task of Label Studio, or one for each labelled stretch."""
    video = next((value for key, value in item["data"].items() if column_name(key) in PATH_COLUMNS), None)
    if not isinstance(video, str):
        video = next((value for value in item["data"].values() if isinstance(value, str)), None)
    if video is None:
        raise DataSetError(f"{where}: a task of Label Studio without a video in its data")
    annotations = item.get("annotations") or item.get("completions") or []
    done = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
    results = [result for one in done[-1:] for result in one.get("result", ()) if isinstance(result, dict)]
    labels: list[str] = []
    for value in (result.get("value") for result in results):
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            labels += map(str, value["choices"])
        elif isinstance(value, dict) and isinstance(value.get("timelinelabels"), list):
            for part in value.get("ranges", ()):
                # Frames count from 1 in Label Studio, and the last one belongs to the stretch.
                start, end = int(part["start"]) - 1, int(part["end"])
                yield from (
                    {"video": video, "start_frame": start, "end_frame": end, "label": label}
                    for label in value["timelinelabels"]
                )
    if labels:
        yield {"video": video, "label": labels[0] if len(labels) == 1 else labels}
    elif not results:
        raise DataSetError(f"{where}: {video} has no finished annotation; export only what is labelled")


def uploaded_name(video: str) -> str:
    """Return the path of a file of Label Studio: the name of an uploaded one, or the path in its storage.

    Any other path stays as it is.
    """
    if _UPLOAD.match(video):
        return _UPLOAD.sub("", urllib.parse.unquote(video))
    if "/local-files/?d=" in video:
        return urllib.parse.unquote(video.split("/local-files/?d=", 1)[1])
    return video


def _activity_net(name: str, video: Any, path: Path) -> Iterator[Object]:
    if not isinstance(video, dict):
        raise DataSetError(f"{path}: {name!r} is not an object with subset and annotations")
    annotations = video.get("annotations", [])
    for one in annotations if isinstance(annotations, list) else [annotations]:
        start, end = one.get("segment") or (None, None)
        yield {"path": name, "split": video.get("subset"), "label": one.get("label"), "start": start, "end": end}


def _table(path: Path, layout: str, unit: str, objects: Sequence[tuple[int, Object]]) -> Table:
    titles: dict[str, str] = {}
    rows: list[tuple[int, dict[str, Cell]]] = []
    for number, item in objects:
        for key in item:
            titles.setdefault(column_name(key), key)
        where = f"{path}, {unit} {number}"
        rows.append((number, {column_name(key): _cell(value, where, key) for key, value in item.items()}))
    header = tuple(titles)
    if unit == "entry" and not set(header) & {*LABEL_COLUMNS} and len(header) < 2:
        raise Unlabelled(f"{path}: lists videos and no labels ({', '.join(titles.values())})")
    found = tuple(TableRow(number, tuple(cells.get(key, "") for key in header)) for number, cells in rows)
    return Table(path, layout, header, found, tuple(titles.values()), unit)


def _cell(value: Any, where: str, key: str) -> Cell:
    if isinstance(value, list):
        return tuple(_text(item, where, key) for item in value)
    return "" if value is None else _text(value, where, key)


def _text(value: Any, where: str, key: str) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, dict | list | bool) and not is_known_column(column_name(key)):
        return ""  # nobody reads this column
    raise DataSetError(f"{where}: {key!r} must be a text, a number or a list of these")

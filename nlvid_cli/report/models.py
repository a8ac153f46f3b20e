"""Listings of models, as tables and as JSON: all models, those on this machine, one in full, those removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from nlvid_cli.card.card import Card, Source, card_to_dict
from nlvid_cli.report.table import plain_table

if TYPE_CHECKING:
    from nlvid_cli.models.onnx_file.contract import OnnxFacts
    from nlvid_cli.models.store.removal import CachedModel, Removed
    from nlvid_cli.network.summary import NetworkSummary


def models_table(cards: Iterable[Card], paths: Mapping[str, Path | None]) -> RenderableType:
    """Return a row per model.

    Args:
        cards: Cards of the models.
        paths: Path of each model on this machine, by name; None where it is not here.
    """
    table = plain_table("name", "alias", "data set", "accuracy", "here", "licence")
    for card in cards:
        cells = [card.name, ", ".join(card.aliases), _data_set(card), _accuracy(card)]
        cells += ["yes" if paths[card.name] else "no", short_licence(card)]
        table.add_row(*cells)
    return table


def models_json(cards: Iterable[Card], paths: Mapping[str, Path | None]) -> list[dict[str, Any]]:
    """Return an object per model; the arguments are those of :func:`models_table`."""
    return [_model_json(card, paths[card.name]) for card in cards]


def _model_json(card: Card, path: Path | None) -> dict[str, Any]:
    return {
        "name": card.name,
        "aliases": list(card.aliases),
        "summary": card.summary,
        "labels": card.labels.count,
        "label_kind": card.labels.kind,
        "accuracy": {figure.metric: figure.value for figure in card.accuracy},
        "data_set": card.accuracy[0].data_set if card.accuracy else None,
        "licence": card.licence,
        "commercial_use": card.commercial_use,
        "redistribution": card.redistribution,
        "path": None if path is None else str(path),
    }


def cached_table(models: Iterable[CachedModel]) -> RenderableType:
    """Return a row per model on this machine, with size and path."""
    table = plain_table("name", "size", "path")
    for model in models:
        table.add_row(model.name, f"{model.size_bytes / 1e6:.1f} MB", str(model.path))
    return table


def cached_json(models: Iterable[CachedModel]) -> list[dict[str, Any]]:
    """Return an object per model on this machine."""
    return [asdict(model) | {"path": str(model.path)} for model in models]


def freed_lines(removed: Sequence[Removed]) -> list[str]:
    """Return the bytes freed by each removal, and in all."""
    lines = [f"{one.name}: {one.freed_bytes} bytes freed" for one in removed]
    if len(removed) != 1:
        lines.append(f"{sum(one.freed_bytes for one in removed)} bytes freed")
    return lines


def left_lines(removed: Iterable[Removed]) -> list[str]:
    """Return the files that removals left, and how to delete those that can be."""
    from nlvid_cli.models.store.removal import hub_repository_of

    lines = []
    for one in removed:
        for path in one.left:
            repository = hub_repository_of(path)
            if repository is None:
                lines.append(f"{one.name} is part of nlvid and stays: {path}")
            else:
                command = f"hf cache rm model/{repository}"
                lines.append(f"{path} is in the cache of the Hugging Face Hub; to delete it, run `{command}`")
    return lines


def short_licence(card: Card) -> str:
    """Return the name of the licence, and whether it forbids commercial use."""
    return card.licence.partition(" (")[0] + ("" if card.commercial_use else ", non-commercial")


def accuracy_figures(card: Card) -> str:
    """Return the figures alone: ``74.7 / 91.6``."""
    return " / ".join(f"{figure.value:.2f}".removesuffix("0") for figure in card.accuracy)


def _accuracy(card: Card) -> str:
    metrics = " / ".join(figure.metric for figure in card.accuracy)
    return f"{metrics} {accuracy_figures(card)}".strip()


def _data_set(card: Card) -> str:
    return card.accuracy[0].data_set.partition(" ")[0] if card.accuracy else ""


def model_report(card: Card, summary: NetworkSummary | None, file: OnnxFacts | None = None) -> RenderableType:
    """Return the identity, protocol, accuracy and origin of a model, and its network layer by layer.

    Args:
        card: Card of the model.
        summary: Summary of its network; None to leave the layers out.
        file: Facts of the ONNX file, if the model is one.
    """
    facts = plain_table(show_header=False)
    network = [] if summary is None else _network(card, summary)
    for key, value in (*_protocol(card), *network, *_file(file), *_origin(card)):
        facts.add_row(key, value)
    if summary is None:
        return facts
    layers = plain_table("layer", "what it does", "output (C x T x H x W)")
    for row in summary.layers:
        layers.add_row(row.name, row.layer, _size(row.output))
    return Group(facts, "", layers)


def model_json(card: Card, summary: NetworkSummary | None, file: OnnxFacts | None = None) -> dict[str, Any]:
    """Return the card, the network and the ONNX file; the arguments are those of :func:`model_report`."""
    network = None if summary is None else asdict(summary)
    onnx = {} if file is None else {"onnx": asdict(file)}
    return {**card_to_dict(card), "network": network, **onnx}


def _protocol(card: Card) -> list[tuple[str, str]]:
    sampling, preprocess = card.sampling, card.preprocess
    rate = f", counted at {sampling.frame_rate:g} frames/s" if sampling.frame_rate else ""
    return [
        ("name", card.name),
        ("alias", ", ".join(card.aliases)),
        ("summary", card.summary),
        ("paper", card.paper),
        ("labels", f"{card.labels.count}, {card.labels.kind}-label"),
        (
            "sampling",
            f"{sampling.clips} clips of {sampling.frames} frames, step {sampling.step}{rate}; "
            f"clip starts: {sampling.clip_starts}; short videos: {sampling.short_video}",
        ),
        (
            "preprocess",
            f"short side {preprocess.short_side} ({preprocess.resize}, {preprocess.size}), "
            f"{preprocess.crops} crop{'s' if preprocess.crops > 1 else ''} of {preprocess.crop} "
            f"({preprocess.crop_positions}); mean {list(preprocess.mean)}, std {list(preprocess.std)} of [0, 255]",
        ),
        ("scores", f"{card.architecture.head.scores}; of the views: {card.labels.combination}"),
        ("temperature", f"{card.temperature:g}" + (" (scores are not changed)" * (card.temperature == 1))),
    ]


def _network(card: Card, summary: NetworkSummary) -> list[tuple[str, str]]:
    views = card.sampling.clips * card.preprocess.crops
    return [
        ("parameters", f"{summary.parameters / 1e6:.2f} M"),
        ("non-local", ", ".join(summary.nonlocal_blocks) or "no blocks"),
        (
            "cost",
            f"{summary.multiply_adds / 1e9:.1f} G multiply-adds per view of {_size(summary.input)}, {views} views",
        ),
    ]


def _file(file: OnnxFacts | None) -> list[tuple[str, str]]:
    if file is None:
        return []
    operators = ", ".join(f"{count} {kind}" for kind, count in file.operators.items())
    return [
        ("file", f"ONNX, opset {file.opset}, written by {file.producer or 'an unknown program'}; {file.precision}"),
        ("input", file.input),
        ("outputs", ", ".join(file.outputs)),
        ("operators", operators),
    ]


def _origin(card: Card) -> list[tuple[str, str]]:
    figures = [
        (figure.metric, f"{figure.value} % on {figure.data_set}; {figure.protocol} ({figure.measured_by})")
        for figure in card.accuracy
    ]
    licence = card.licence + ("" if card.commercial_use else "; not for commercial use")
    return [*figures, ("licence", licence), ("origin", card.origin), *(("source", _where(s)) for s in card.sources)]


def _where(source: Source) -> str:
    if source.kind == "hub":
        return f"hf://{source.repo}@{source.revision}/{source.path}"
    if source.kind == "index":
        return f"{source.member} in {source.archive} of the Python package index"
    return source.url if source.kind == "url" else f"bundled {source.path}"


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))

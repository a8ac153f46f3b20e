"""Listings of models for people: the table of all, and one model in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape

from nlvid_cli.card.card import Card, Source
from nlvid_cli.report.table import plain_table

if TYPE_CHECKING:
    from nlvid_cli.models.onnx_file.contract import OnnxFacts
    from nlvid_cli.network.summary import NetworkSummary


def models_table(cards: Iterable[Card], paths: Mapping[str, Path | None]) -> RenderableType:
    """A row per model.

    Args:
        cards: of the models.
        paths: where each is on this machine, by name; None: it is not.
    """
    table = plain_table("name", "alias", "data set", "accuracy", "here", "licence")
    for card in cards:
        cells = [card.name, ", ".join(card.aliases), _data_set(card), _accuracy(card)]
        cells += ["yes" if paths[card.name] else "no", short_licence(card)]
        table.add_row(*map(escape, cells))
    return table


def short_licence(card: Card) -> str:
    """The licence's name, and what it does not allow."""
    return card.licence.partition(" (")[0] + ("" if card.commercial_use else ", non-commercial")


def accuracy_figures(card: Card) -> str:
    """The figures alone, ``74.7 / 91.6``."""
    return " / ".join(f"{figure.value:.2f}".removesuffix("0") for figure in card.accuracy)


def _accuracy(card: Card) -> str:
    metrics = " / ".join(figure.metric for figure in card.accuracy)
    return f"{metrics} {accuracy_figures(card)}".strip()


def _data_set(card: Card) -> str:
    return card.accuracy[0].data_set.partition(" ")[0] if card.accuracy else ""


def model_report(card: Card, summary: NetworkSummary | None, file: OnnxFacts | None = None) -> RenderableType:
    """Identity, protocol, accuracy and origin of a model, and its network layer by layer.

    Args:
        card: of the model.
        summary: of its network, if that is known.
        file: of an ONNX file, if the model is one.
    """
    facts = plain_table(show_header=False)
    network = [] if summary is None else _network(card, summary)
    for key, value in (*_protocol(card), *network, *_file(file), *_origin(card)):
        facts.add_row(key, escape(value))
    if summary is None:
        return facts
    layers = plain_table("layer", "what it does", "output (C x T x H x W)")
    for row in summary.layers:
        layers.add_row(row.name, escape(row.layer), _size(row.output))
    return Group(facts, "", layers)


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
        ("temperature", f"{card.temperature:g}" + (" (scores as the network gives them)" * (card.temperature == 1))),
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

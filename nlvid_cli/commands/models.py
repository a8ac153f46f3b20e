"""``nlvid models``: what there is to choose from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nlvid_cli.commands.convert import convert
from nlvid_cli.commands.options import As, AsJson, Quiet, Verbose
from nlvid_cli.commands.push import push
from nlvid_cli.commands.remove import remove
from nlvid_cli.commands.verify import verify

if TYPE_CHECKING:
    from nlvid_cli.checkpoints.card import Card
    from nlvid_cli.network.summary import NetworkSummary

app = typer.Typer(help="Models that nlvid knows by name.", no_args_is_help=True)
app.command("convert")(convert)
app.command("verify")(verify)
app.command("push")(push)
app.command("remove")(remove)

Name = Annotated[str, typer.Argument(help="Name or alias (see `nlvid models list`), file, hf:// or https address.")]


@app.command("list")
def list_(
    cached: Annotated[bool, typer.Option("--cached", help="Only those on this machine, with size and path.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List all models.

    Examples:

      nlvid models list

      nlvid models list --cached --json
    """
    from nlvid_cli.checkpoints.manifest import load_manifest

    if cached:
        _list_cached(as_json)
    elif as_json:
        print(json.dumps([_row(card) for card in load_manifest().models], indent=2))
    else:
        _print_list(load_manifest().models)


def _list_cached(as_json: bool) -> None:
    from rich.markup import escape

    from nlvid_cli.checkpoints.removal import models_here
    from nlvid_cli.report.table import plain_table, stdout_console

    here = models_here()
    if as_json:
        print(json.dumps([asdict(model) | {"path": str(model.path)} for model in here], indent=2))
        return
    table = plain_table("name", "size", "path")
    for model in here:
        table.add_row(escape(model.name), f"{model.size_bytes / 1e6:.1f} MB", escape(str(model.path)))
    stdout_console().print(table)


@app.command()
def show(
    name: Name,
    as_name: As = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show a model: network layer by layer, cost, protocol, accuracy, licence, sources.

    Examples:

      nlvid models show i3d

      nlvid models show runs/mine/model.safetensors --json
    """
    from nlvid_cli.checkpoints.card import card_to_json
    from nlvid_cli.checkpoints.find import find_model_card
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.network.summary import summarise

    card = find_model_card(name, as_name, DownloadBar(), log.info)
    summary = summarise(card)
    if as_json:
        print(json.dumps({**json.loads(card_to_json(card)), "network": asdict(summary)}, indent=2))
    else:
        _print_card(card, summary)


@app.command()
def pull(name: Name, as_name: As = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Download a model now, so that it works without a network later; prints the path of its file.

    Examples:

      nlvid models pull i3d

      NLVID_CACHE=/data/models nlvid models pull hf://me/my-model/model.safetensors
    """
    from nlvid_cli.checkpoints.find import find_model
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar

    card, path = find_model(name, as_name, DownloadBar(), log.info)
    log.info("%s is ready; licence: %s", card.name, card.licence)
    print(path)


@app.command()
def labels(name: Name, as_name: As = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Print a model's labels, one a line, in the order of its scores.

    Examples:

      nlvid models labels i3d

      nlvid models labels i3d | grep swim
    """
    from nlvid_cli.checkpoints.find import find_model_card
    from nlvid_cli.checkpoints.manifest import label_names
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar

    print("\n".join(label_names(find_model_card(name, as_name, DownloadBar(), log.info))))


def _row(card: Card) -> dict[str, Any]:
    from nlvid_cli.checkpoints.cache import cached_path

    path = cached_path(card)
    return {
        "name": card.name,
        "aliases": list(card.aliases),
        "summary": card.summary,
        "labels": card.labels.count,
        "label_kind": card.labels.kind,
        "accuracy": {figure.metric: figure.value for figure in card.accuracy},
        "data_set": card.accuracy[0].data_set if card.accuracy else None,
        "licence": card.licence,
        "path": None if path is None else str(path),
    }


def _print_list(cards: tuple[Card, ...]) -> None:
    from rich.markup import escape

    from nlvid_cli.report.table import plain_table, stdout_console

    table = plain_table("name", "alias", "labels", "accuracy", "here", "licence")
    for card in cards:
        row = _row(card)
        accuracy = ", ".join(f"{metric} {value}" for metric, value in row["accuracy"].items())
        cells = [row["name"], ", ".join(row["aliases"]), str(row["labels"]), accuracy]
        cells += ["yes" if row["path"] else "no", row["licence"]]
        table.add_row(*map(escape, cells))
    stdout_console().print(table)


def _print_card(card: Card, summary: NetworkSummary) -> None:
    from rich.markup import escape

    from nlvid_cli.report.table import plain_table, stdout_console

    sampling, preprocess = card.sampling, card.preprocess
    rate = f", counted at {sampling.frame_rate:g} frames/s" if sampling.frame_rate else ""
    rows = [
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
            f"short side {preprocess.short_side} ({preprocess.resize}), {preprocess.crops} crop(s) of "
            f"{preprocess.crop}; mean {list(preprocess.mean)}, std {list(preprocess.std)} of [0, 255]",
        ),
        ("scores", card.architecture.head.scores),
        ("parameters", f"{summary.parameters / 1e6:.2f} M"),
        ("non-local", ", ".join(summary.nonlocal_blocks) or "no blocks"),
        (
            "cost",
            f"{summary.multiply_adds / 1e9:.1f} G multiply-adds per view of {_size(summary.input)}, "
            f"{sampling.clips * preprocess.crops} views",
        ),
    ]
    rows += [
        (figure.metric, f"{figure.value} % on {figure.data_set}; {figure.protocol} ({figure.measured_by})")
        for figure in card.accuracy
    ]
    rows += [("licence", card.licence), ("origin", card.origin)]
    rows += [("source", source.kind) for source in card.sources]
    table = plain_table(show_header=False)
    for key, value in rows:
        table.add_row(key, escape(value))
    layers = plain_table("layer", "what it does", "output (C x T x H x W)")
    for row in summary.layers:
        layers.add_row(row.name, escape(row.layer), _size(row.output))
    stdout_console().print(table, "", layers)


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))

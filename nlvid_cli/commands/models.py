"""``nlvid models``: what there is to choose from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nlvid_cli.commands.convert import convert
from nlvid_cli.commands.options import As, AsJson, Quiet, Verbose
from nlvid_cli.commands.push import push
from nlvid_cli.commands.remove import remove
from nlvid_cli.commands.verify import verify

if TYPE_CHECKING:
    from nlvid_cli.card.card import Card
    from nlvid_cli.models.onnx_file.contract import OnnxFacts
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
    from nlvid_cli.card.manifest import load_manifest
    from nlvid_cli.models.store.cache import cached_path
    from nlvid_cli.report.models import models_table
    from nlvid_cli.report.table import stdout_console

    cards = load_manifest().models
    paths = {card.name: cached_path(card) for card in cards}
    if cached:
        _list_cached(as_json)
    elif as_json:
        print(json.dumps([_row(card, paths[card.name]) for card in cards], indent=2))
    else:
        stdout_console().print(models_table(cards, paths))


def _list_cached(as_json: bool) -> None:
    from rich.markup import escape

    from nlvid_cli.models.store.removal import models_here
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

      nlvid models show model.onnx
    """
    from nlvid_cli.card.card import card_to_json
    from nlvid_cli.report.models import model_report
    from nlvid_cli.report.table import stdout_console

    card, file = _card_and_file(name, as_name)
    summary = _summary(card)
    if as_json:
        network = None if summary is None else asdict(summary)
        onnx = {} if file is None else {"onnx": asdict(file)}
        print(json.dumps({**json.loads(card_to_json(card)), "network": network, **onnx}, indent=2))
    else:
        stdout_console().print(model_report(card, summary, file))


def _card_and_file(name: str, as_name: str | None) -> tuple[Card, OnnxFacts | None]:
    """The card of a model, and what an ONNX file says of itself; a model that has a name is not fetched."""
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model, find_model_card
    from nlvid_cli.models.onnx_file.contract import facts_of
    from nlvid_cli.models.onnx_file.read import is_onnx_name
    from nlvid_cli.models.reference import kind_of

    if kind_of(name) == "name":
        return find_model_card(name, as_name, DownloadBar(), log.info), None
    card, path = find_model(name, as_name, DownloadBar(), log.info, onnx=True)
    return card, facts_of(path, card) if is_onnx_name(path.name) else None


def _summary(card: Card) -> NetworkSummary | None:
    """The network layer by layer, or None with a note where torch is not installed."""
    from nlvid_cli.backends.machine import runtime_version
    from nlvid_cli.commands.options import log

    if runtime_version("torch") is None:
        log.info("the layers of the network are not shown, because torch is not installed")
        return None
    from nlvid_cli.network.summary import summarise

    return summarise(card)


@app.command()
def pull(name: Name, as_name: As = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Download a model now, so that it works without a network later; prints the path of its file.

    Of an address, of which all other commands use the copy that is here, it asks for the newest file.

    Examples:

      nlvid models pull i3d

      NLVID_CACHE=/data/models nlvid models pull hf://me/my-model/model.safetensors
    """
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model

    card, path = find_model(name, as_name, DownloadBar(), log.info, onnx=True, newest=True)
    log.info("%s is ready; licence: %s", card.name, card.licence)
    if not card.commercial_use:
        log.warning("%s is not for commercial use: the licence of its weights forbids it", card.name)
    print(path)


@app.command()
def labels(name: Name, as_name: As = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Print a model's labels, one a line, in the order of its scores.

    Examples:

      nlvid models labels i3d

      nlvid models labels i3d | grep swim
    """
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model_card

    print("\n".join(label_names(find_model_card(name, as_name, DownloadBar(), log.info))))


def _row(card: Card, path: Path | None) -> dict[str, Any]:
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

"""``nlvid models show``: one model in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlvid_cli.commands.logs import log
from nlvid_cli.commands.options import As, AsJson, ModelName

if TYPE_CHECKING:
    from nlvid_cli.card.card import Card
    from nlvid_cli.models.onnx_file.contract import OnnxFacts
    from nlvid_cli.network.summary import NetworkSummary


def show(model: ModelName, as_name: As = None, as_json: AsJson = False) -> None:
    """Show one model in full.

    Network layer by layer, cost, protocol, accuracy, licence and sources.

    Examples:

      nlvid models show i3d

      nlvid models show runs/mine/model.safetensors --json
    """
    from nlvid_cli.report.models import model_json, model_report
    from nlvid_cli.report.stdout import print_json_or

    card, file = _card_and_file(model, as_name)
    summary = _summary(card)
    print_json_or(as_json, lambda: model_json(card, summary, file), lambda: model_report(card, summary, file))


def _card_and_file(model: str, as_name: str | None) -> tuple[Card, OnnxFacts | None]:
    """Return the card, and for an ONNX file its facts; a model with a name is not downloaded for this."""
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model, find_model_card
    from nlvid_cli.models.naming import kind_of
    from nlvid_cli.models.onnx_file.contract import facts_of
    from nlvid_cli.models.onnx_file.read import is_onnx_name

    if kind_of(model) == "name":
        return find_model_card(model, as_name, DownloadBar()), None
    card, path = find_model(model, as_name, DownloadBar(), onnx=True)
    return card, facts_of(path, card) if is_onnx_name(path.name) else None


def _summary(card: Card) -> NetworkSummary | None:
    """Summarise the network; without torch, log a note and return None."""
    from nlvid_cli.backends.machine import runtime_version

    if runtime_version("torch") is None:
        log.info("the layers of the network are not shown, because torch is not installed")
        return None
    from nlvid_cli.network.summary import summarise

    return summarise(card)

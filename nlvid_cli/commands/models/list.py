"""``nlvid models list``: all models, or those on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from nlvid_cli.commands.options import AsJson

Cached = Annotated[bool, typer.Option("--cached", help="Only the models on this machine, with size and path.")]


def list_models(cached: Cached = False, as_json: AsJson = False) -> None:
    """List all models.

    Examples:

      nlvid models list

      nlvid models list --cached --json
    """
    from nlvid_cli.card.manifest import load_manifest
    from nlvid_cli.models.store.cache import cached_path
    from nlvid_cli.models.store.removal import cached_models
    from nlvid_cli.report import models
    from nlvid_cli.report.stdout import print_json_or

    if cached:
        here = cached_models()
        print_json_or(as_json, lambda: models.cached_json(here), lambda: models.cached_table(here))
        return
    cards = load_manifest().models
    paths = {card.name: cached_path(card) for card in cards}
    print_json_or(as_json, lambda: models.models_json(cards, paths), lambda: models.models_table(cards, paths))

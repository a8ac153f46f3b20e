"""``nlvid models push``: a model onto the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from nlvid_cli.commands.options import As, Quiet, Verbose, log


def push(
    name: Annotated[str, typer.Argument(help="Name or alias (see `nlvid models list`), or a model file.")],
    to: Annotated[str, typer.Option("--to", metavar="OWNER/REPO", help="Repository; made if it is not there.")],
    as_name: As = None,
    private: Annotated[bool, typer.Option("--private", help="Let nobody else see it.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch. Default: main.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Upload a model to the Hugging Face Hub, with a README; prints its address. Needs HF_TOKEN.

    Examples:

      nlvid models push runs/mine/model.safetensors --to me/my-model --private

      nlvid models push nl-i3d --to me/nl-i3d --revision test
    """
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model, find_model_card
    from nlvid_cli.models.publish import Target, publish, require_publishable

    target = Target(to, private, revision)
    require_publishable(find_model_card(name, as_name, DownloadBar(), log.info))
    card, path = find_model(name, as_name, DownloadBar(), log.info)
    print(publish(card, path, target, log.info))

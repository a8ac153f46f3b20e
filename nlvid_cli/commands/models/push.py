"""``nlvid models push``: upload a model to the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from nlvid_cli.commands.options import As
from nlvid_cli.system.terminal import print_lines

Name = Annotated[str, typer.Argument(metavar="MODEL", help="Model name, alias or file.", show_default=False)]
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="OWNER/REPO", help="Repository to upload to; created if it does not exist.", show_default=False
    ),
]
Private = Annotated[bool, typer.Option("--private", help="Create the repository as private.")]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="BRANCH", help="Branch to upload to. Default: main.", show_default=False),
]


def push(model: Name, to: To, as_name: As = None, private: Private = False, revision: Revision = None) -> None:
    """Upload a model to the Hugging Face Hub.

    Writes a README beside it, and prints its address. Needs HF_TOKEN.

    Examples:

      nlvid models push runs/mine/model.safetensors --to me/my-model --private

      nlvid models push nl-i3d --to me/nl-i3d --revision test
    """
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model, find_model_card
    from nlvid_cli.models.publish import Target, publish, require_publishable

    target = Target(to, private, revision)
    require_publishable(find_model_card(model, as_name, DownloadBar()))
    card, path = find_model(model, as_name, DownloadBar())
    print_lines([publish(card, path, target)])

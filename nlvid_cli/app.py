"""The command line: a line per command, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from nlvid_cli._version import __version__
from nlvid_cli.commands import models
from nlvid_cli.commands.classify import classify
from nlvid_cli.commands.doctor import doctor
from nlvid_cli.commands.evaluate import evaluate
from nlvid_cli.commands.export import export
from nlvid_cli.commands.label import label
from nlvid_cli.commands.train import train
from nlvid_cli.errors import NlvidError

app = typer.Typer(
    name="nlvid",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(classify)
app.command()(label)
app.command()(train)
app.command()(evaluate)
app.command()(export)
app.add_typer(models.app, name="models")
app.command()(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nlvid {__version__}")
        raise typer.Exit


@app.callback()
def nlvid(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Name the human actions in a video.

    Exit status: 0 all done, 1 some input failed, 2 wrong usage, 3 a model or a service could not be had,
    130 interrupted. Results go to stdout, everything else to stderr.
    """


def main() -> None:
    """Run the command line; the entry point of ``nlvid``."""
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be valid text: give its bytes back as they were where the stream can.
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        getattr(stream, "reconfigure", lambda **_: None)(errors="surrogateescape" if utf8 else "replace")
    try:
        app()
    except NlvidError as error:
        if os.environ.get("NLVID_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)

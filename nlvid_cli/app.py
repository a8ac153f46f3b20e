"""The command line: a line per command, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any, TextIO

import typer

from nlvid_cli._version import __version__
from nlvid_cli.commands import models
from nlvid_cli.commands.classify import classify
from nlvid_cli.commands.doctor import doctor
from nlvid_cli.commands.evaluate import evaluate
from nlvid_cli.commands.export import export
from nlvid_cli.commands.label import label
from nlvid_cli.commands.train import train
from nlvid_cli.errors import NlvidError, OutputError

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
    _prepare_streams()
    try:
        with redirect_stdout(_Stdout(sys.stdout)):
            try:
                app()
            finally:
                sys.stdout.flush()
    except NlvidError as error:
        if os.environ.get("NLVID_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # a reader that wanted no more
        sys.exit(1)


def _prepare_streams() -> None:
    """Streams that are there, and that take every file name."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started this
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be valid text: give its bytes back as they were where the stream can.
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        getattr(stream, "reconfigure", lambda **_: None)(errors="surrogateescape" if utf8 else "replace")


class _Stdout:
    """Stdout, whose failures are known from those of all other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _named_failures():
            return self._stream.write(text)

    def flush(self) -> None:
        with _named_failures():
            try:
                self._stream.flush()
            except OSError:
                # What is left in the buffer shall not fail a second time when Python ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
                raise


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout: cannot write ({error.strerror})") from None

"""The command line: its commands, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any, TextIO, cast

import typer

from nlvid_cli._version import __version__
from nlvid_cli.commands.classify import classify
from nlvid_cli.commands.doctor import doctor
from nlvid_cli.commands.evaluate import evaluate
from nlvid_cli.commands.export import export
from nlvid_cli.commands.label import label
from nlvid_cli.commands.logs import with_logging
from nlvid_cli.commands.models.convert import convert
from nlvid_cli.commands.models.labels import labels
from nlvid_cli.commands.models.list import list_models
from nlvid_cli.commands.models.pull import pull
from nlvid_cli.commands.models.push import push
from nlvid_cli.commands.models.remove import remove
from nlvid_cli.commands.models.show import show
from nlvid_cli.commands.models.verify import verify
from nlvid_cli.commands.timeline import timeline
from nlvid_cli.commands.train import train
from nlvid_cli.errors import NlvidError, OutputError, ResourceShortage
from nlvid_cli.system.shortage import shortage
from nlvid_cli.system.terminal import for_people, print_lines, tell, visible

ClickException = cast("type[Exception]", typer.BadParameter.__mro__[2])
"""Wrong usage: an unknown option, a missing argument. Typer brings its own copy of click since 0.26."""

COMMANDS: dict[str, Callable[..., None]] = {
    "classify": classify,
    "timeline": timeline,
    "label": label,
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "doctor": doctor,
}

MODEL_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_models,
    "show": show,
    "pull": pull,
    "labels": labels,
    "convert": convert,
    "verify": verify,
    "push": push,
    "remove": remove,
}

app = typer.Typer(
    name="nlvid",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help appears in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(help="List, download, convert, verify and share models.", no_args_is_help=True)
for name, command in COMMANDS.items():
    app.command(name)(with_logging(command))
for name, command in MODEL_COMMANDS.items():
    models.command(name)(with_logging(command))
app.add_typer(models, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        print_lines([f"nlvid {__version__}"])
        raise typer.Exit


@app.callback()
def nlvid(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Name the human actions in a video.

    Results go to stdout, everything else to stderr.

    Exit status: 0 success, 1 some input failed, 2 wrong usage, 3 model unavailable, 130 interrupted.
    """


def main() -> None:
    """Run the command line; the entry point of ``nlvid``."""
    _prepare_streams()
    try:
        with redirect_stdout(for_people(cast("TextIO", _Stdout(sys.stdout)))):
            try:
                status = app(standalone_mode=False)
            finally:
                sys.stdout.flush()
        sys.exit(status)
    except ClickException as error:
        sys.exit(_show(error))
    except NlvidError as error:
        if os.environ.get("NLVID_DEBUG") == "1":
            raise
        tell(f"error: {error}")
        sys.exit(error.exit_status)
    except BrokenPipeError:  # the reader of stdout has closed it, as `head` does
        sys.exit(1)
    except Exception as error:
        lack = shortage(error)
        if lack is None or os.environ.get("NLVID_DEBUG") == "1":
            raise
        tell(f"error: {lack}")
        sys.exit(ResourceShortage.exit_status)


def _show(error: Any) -> int:
    """Print what is wrong with the command line, as click does, and return the exit status."""
    if error.message and type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help
        error.message = visible(error.message)  # it may repeat an argument, whatever that holds
    error.show()
    return int(error.exit_code)


def _prepare_streams() -> None:
    """Make the standard streams usable: open closed ones, let them take every file name, guard the terminal."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A file name may not be valid UTF-8; write its bytes unchanged where the stream can.
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        getattr(stream, "reconfigure", lambda **_: None)(errors="surrogateescape" if utf8 else "replace")
    sys.stderr = for_people(sys.stderr)


class _Stdout:
    """Stdout with errors of its own, so that they are not taken for errors of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _as_output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _as_output_errors():
            try:
                self._stream.flush()
            except OSError:
                # The rest of the buffer would fail again when Python exits.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
                raise


@contextmanager
def _as_output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout: cannot write ({error.strerror})") from None

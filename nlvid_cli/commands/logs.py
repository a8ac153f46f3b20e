"""Notes and warnings on stderr, and the options ``--quiet`` and ``--verbose`` that every command has."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any

import typer

from nlvid_cli.system.terminal import tell

log = logging.getLogger("nlvid_cli")
"""Logger of the commands: warnings at WARNING, notes at INFO, explanations at DEBUG."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no notes or warnings to stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print more about what is being done.")]


def with_logging(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--quiet`` and ``--verbose`` to a command, and set logging up before it runs."""

    @wraps(command)
    def run(*arguments: Any, quiet: bool, verbose: bool, **options: Any) -> None:
        start_logging(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
        command(*arguments, **options)

    # Typer reads the options of a command from its signature.
    signature = inspect.signature(command, eval_str=True)
    flags = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("quiet", Quiet), ("verbose", Verbose))
    ]
    parameters = [*signature.parameters.values(), *flags]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def start_logging(level: int) -> None:
    """Print the messages of nlvid's loggers to stderr, from ``level`` upwards."""
    log.setLevel(level)
    log.propagate = False
    if not log.handlers:
        log.addHandler(_StderrHandler())


class _StderrHandler(logging.Handler):
    """One line per message, on whatever ``sys.stderr`` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = {logging.INFO: "note", logging.DEBUG: "debug"}.get(record.levelno, "warning")
        tell(f"{kind}: {record.getMessage()}")

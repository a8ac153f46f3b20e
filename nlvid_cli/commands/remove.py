"""``nlvid models remove``: delete what the cache holds of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nlvid_cli.commands.options import Quiet, Verbose, log
from nlvid_cli.errors import UsageError

if TYPE_CHECKING:
    from nlvid_cli.models.store.removal import Removed


def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names or aliases, as `nlvid models list --cached` shows them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the cache holds.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete downloaded models from nlvid's cache.

    Examples:

      nlvid models remove i3d

      nlvid models remove --all
    """
    from nlvid_cli.models.store import removal

    if bool(names) == everything:
        raise UsageError("say which models to remove, by their names or with --all, not both")
    removed = removal.remove_all(log.info) if everything else [removal.remove(name, log.info) for name in names or ()]
    for one in removed:
        print(f"{one.name}: {one.freed_bytes} bytes freed")
        _tell_what_is_left(one)
    if len(removed) != 1:
        print(f"{sum(one.freed_bytes for one in removed)} bytes freed")


def _tell_what_is_left(removed: Removed) -> None:
    from nlvid_cli.models.store.removal import hub_repository_of

    for path in removed.left:
        repository = hub_repository_of(path)
        if repository is None:
            log.info("%s comes with nlvid and stays: %s", removed.name, path)
        else:
            command = f"hf cache rm model/{repository}"
            log.info("%s lies in the Hub's cache, which is not nlvid's; `%s` deletes it", path, command)

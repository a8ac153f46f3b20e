"""``nlvid models remove``: delete models from the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from nlvid_cli.commands.logs import log
from nlvid_cli.errors import UsageError
from nlvid_cli.system.terminal import print_lines

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help="Names or aliases, as in `nlvid models list --cached`.", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="Remove everything in the cache.")]


def remove(names: Names = None, everything: Everything = False) -> None:
    """Delete downloaded models from the cache of nlvid.

    Examples:

      nlvid models remove i3d

      nlvid models remove --all
    """
    from nlvid_cli.models.store import removal
    from nlvid_cli.report.models import freed_lines, left_lines

    if bool(names) == everything:
        raise UsageError("name the models to remove, or pass --all, but not both")
    removed = removal.remove_all() if everything else [removal.remove(name) for name in names or ()]
    print_lines(freed_lines(removed))
    for line in left_lines(removed):
        log.info("%s", line)

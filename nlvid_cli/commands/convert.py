"""``nlvid models convert``: a checkpoint of another program as a file of nlvid's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nlvid_cli.commands.options import Quiet, Verbose


def convert(
    file: Annotated[Path, typer.Argument(help="Checkpoint: Caffe2 .pkl, .pth, .pyth, .pt, .safetensors.")],
    as_name: Annotated[
        str, typer.Option("--as", help="The model whose network, labels and protocol it has.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; ends in .safetensors.", show_default=False)
    ],
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert a checkpoint of another program; prints the path of the new file.

    What is in the file says which program wrote it. Nothing in it is executed, and every tensor must have its place in
    the network. The new file needs nothing beside it: give it to --model.

    Examples:

      nlvid models convert model_final.pkl --as nl-i3d-charades -o charades.safetensors

      nlvid models convert I3D_NLN_8x8_R50.pkl --as nl-i3d-r50-8x8.pyslowfast-k400 -o nln.safetensors
    """
    from nlvid_cli.card.manifest import find_card
    from nlvid_cli.commands.options import log
    from nlvid_cli.errors import OutputError, UsageError
    from nlvid_cli.models.convert import convert
    from nlvid_cli.models.find import adopt
    from nlvid_cli.models.formats.opening import require_file

    entry = find_card(as_name)
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: the new file is a safetensors file; let its name end in .safetensors")
    require_file(file)
    try:
        print(convert(file, adopt(entry, file.name, file), output, note=log.info))
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror or error})") from error

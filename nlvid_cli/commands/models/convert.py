"""``nlvid models convert``: a checkpoint of another program as a model file of nlvid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlvid_cli.commands.logs import log
from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.system.terminal import print_lines

if TYPE_CHECKING:
    from nlvid_cli.card.card import Card

Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="Checkpoint: Caffe2 .pkl, .pth, .pyth, .pt or .safetensors.", show_default=False
    ),
]
AsModel = Annotated[
    str,
    typer.Option("--as", metavar="NAME", help="Model whose network, labels and protocol apply.", show_default=False),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Names of the classes of a fine-tuned head: one a line, numbered, or JSON. Default: those of --as.",
        show_default=False,
    ),
]
NewFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Path to write to, ending in .safetensors.", show_default=False
    ),
]


def convert(file: Checkpoint, as_name: AsModel, output: NewFile, labels: LabelsFile = None) -> None:
    """Convert a checkpoint of another program.

    Prints the path of the new file. The format is detected from the content. No code in the file is executed, and
    every tensor must have a place in the network. The new file is complete: pass it to --model.

    Examples:

      nlvid models convert model_final.pkl --as nl-i3d-charades -o c.safetensors

      nlvid models convert tuned.pyth --as nl-i3d --labels classes.txt -o t.safetensors
    """
    from nlvid_cli.card.manifest import find_card
    from nlvid_cli.models.adopt import adopt
    from nlvid_cli.models.convert import convert
    from nlvid_cli.models.formats.opening import require_file

    entry = find_card(as_name)
    if labels is not None:
        entry = _with_labels(entry, labels)
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: the name of the new file must end in .safetensors")
    require_file(file)
    try:
        new_file = convert(file, adopt(entry, file.name, file), output, note=log.info)
    except OSError as error:
        raise OutputError(f"{output}: cannot write ({error.strerror or error})") from error
    print_lines([str(new_file)])


def _with_labels(card: Card, path: Path) -> Card:
    """Return the card with the class names of a file."""
    from nlvid_cli.card.card import Labels, card_from_dict, card_to_dict
    from nlvid_cli.datasets.numbered_labels import read_class_names

    names = read_class_names(path)
    first = next(iter(names), "0")
    if not names or first not in ("0", "1") or list(names) != [str(int(first) + place) for place in range(len(names))]:
        raise UsageError(f"{path}: its classes are not numbered 0, 1, 2 and so on; number them as the head does")
    labels = Labels(card.labels.kind, len(names), names=tuple(names.values()))
    return card_from_dict(card_to_dict(replace(card, labels=labels)), str(path))

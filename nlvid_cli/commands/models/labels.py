"""``nlvid models labels``: the labels that a model knows."""

from __future__ import annotations

from nlvid_cli.commands.options import As, ModelName
from nlvid_cli.system.terminal import print_lines


def labels(model: ModelName, as_name: As = None) -> None:
    """Print the labels of a model.

    One label per line, in the order of the scores.

    Examples:

      nlvid models labels i3d

      nlvid models labels i3d | grep swim
    """
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model_card

    print_lines(label_names(find_model_card(model, as_name, DownloadBar())))

"""``nlvid models pull``: download a model before it is needed."""

from __future__ import annotations

from nlvid_cli.commands.logs import log
from nlvid_cli.commands.options import As, ModelName
from nlvid_cli.system.terminal import print_lines


def pull(model: ModelName, as_name: As = None) -> None:
    """Download a model for offline use.

    Prints the path of its file. For an address, download the file again if it has changed. Other commands use the
    copy on this machine.

    Examples:

      nlvid models pull i3d

      NLVID_CACHE=/data nlvid models pull hf://me/my-model/model.safetensors
    """
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model

    card, path = find_model(model, as_name, DownloadBar(), onnx=True, newest=True)
    log.info("%s is ready; licence: %s", card.name, card.licence)
    if not card.commercial_use:
        log.warning("the licence of %s does not allow commercial use", card.name)
    print_lines([str(path)])

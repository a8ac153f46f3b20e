"""The temperature of an evaluation, written into the card of a model file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from nlvid_cli.errors import NlvidError, OutputError, UsageError
from nlvid_cli.evaluation.evaluate import Calibration
from nlvid_cli.models.model_file import read_card, replace_card
from nlvid_cli.models.naming import kind_of

log = logging.getLogger(__name__)


def require_own_file(model: str | None, as_name: str | None) -> Path:
    """Return the path of the model file that a temperature can be written into.

    Args:
        model: Model as the user named it.
        as_name: Name that the user gave for a file without a card.

    Raises:
        UsageError: The model is not a file of nlvid on this machine; says how to make one.
    """
    if model is not None and kind_of(model) == "file" and as_name is None:
        return Path(model)
    name = model or "NAME"
    if as_name is not None:
        how = f"nlvid models convert {name} --as {as_name} -o mine.safetensors"
    else:
        how = f'cp "$(nlvid models pull {name})" mine.safetensors'
    raise UsageError(
        f"--write-temperature changes a model file of your own; make one with `{how}`, and pass it to --model"
    )


def write_temperature(path: Path, calibration: Calibration) -> None:
    """Write the temperature of a calibration into the card of a model file.

    Raises:
        NlvidError: The videos do not determine a temperature.
        OutputError: The file cannot be written.
    """
    if not calibration.determined:
        raise NlvidError(
            f"{path}: not changed, because the model is right about all of these videos, or about hardly any, and so "
            "they do not determine a temperature; use a set of videos with right and wrong answers"
        )
    try:
        replace_card(path, replace(read_card(path), temperature=round(calibration.temperature, 6)))
    except OSError as error:
        raise OutputError(f"{path}: cannot write the temperature ({error.strerror or error})") from None
    log.info("%s now has the temperature %.4g", path, calibration.temperature)

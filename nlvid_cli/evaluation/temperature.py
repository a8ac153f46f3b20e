"""The temperature that calibrates a model: found from an evaluation, written into the card of a model file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlvid_cli.card.card import COLDEST, HOTTEST
from nlvid_cli.errors import NlvidError, OutputError, UsageError
from nlvid_cli.evaluation import metrics
from nlvid_cli.models.model_file import read_card, replace_card
from nlvid_cli.models.naming import kind_of
from nlvid_cli.recognize.combine import temper

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """How far scores are from being probabilities, and the temperature that brings them closest.

    Attributes:
        error: Expected calibration error of the scores as they are, in [0, 1].
        error_after: The same with the temperature.
        likelihood: Mean negative log-likelihood of the scores as they are.
        likelihood_after: The same with the temperature, which minimises it.
        present: Temperature that the card has now; it is part of the scores as they are.
        temperature: Temperature that the card should have.
        determined: Whether the videos determine a temperature. They do not if the model is right about all of them or
            about none, or is no surer of its right answers than of its wrong ones.
    """

    error: float
    error_after: float
    likelihood: float
    likelihood_after: float
    present: float
    temperature: float
    determined: bool


def calibrate(
    scores: metrics.Scores, relevant: metrics.Flags, kind: Literal["single", "multi"], present: float = 1.0
) -> Calibration:
    """Find the temperature of scores that were computed with the temperature ``present``.

    Args:
        scores: (N, C) in [0, 1].
        relevant: (N, C) whether each video shows each class.
        kind: As :attr:`nlvid_cli.card.card.Labels.kind`.
        present: Temperature in the scores. Temperatures multiply: (p^(1/S))^(1/T) = p^(1/(S T)).
    """
    factor = metrics.fit_temperature(scores, relevant, kind)
    after = temper(scores, factor, kind)
    return Calibration(
        error=metrics.calibration_error_of(scores, relevant, kind),
        error_after=metrics.calibration_error_of(after, relevant, kind),
        likelihood=metrics.negative_log_likelihood(scores, relevant, kind),
        likelihood_after=metrics.negative_log_likelihood(after, relevant, kind),
        present=present,
        temperature=present * factor,
        determined=metrics.COLDEST < factor < metrics.HOTTEST,
    )


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
        NlvidError: The videos do not determine a temperature, or one that no card has.
        OutputError: The file cannot be written.
    """
    if not calibration.determined:
        raise NlvidError(
            f"{path}: not changed, because these videos do not determine a temperature: the one that fits best is "
            "more than 20 times as high or low as the card's; use a larger set, with right and wrong answers"
        )
    if not COLDEST <= calibration.temperature <= HOTTEST:
        raise NlvidError(
            f"{path}: not changed, because the temperature would be {calibration.temperature:.3g}; a card has "
            f"{COLDEST:g} to {HOTTEST:g}"
        )
    try:
        replace_card(path, replace(read_card(path), temperature=round(calibration.temperature, 6)))
    except OSError as error:
        raise OutputError(f"{path}: cannot write the temperature ({error.strerror or error})") from None
    log.info("%s now has the temperature %.4g", path, calibration.temperature)

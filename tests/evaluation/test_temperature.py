from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.errors import NlvidError
from nlvid_cli.evaluation.temperature import Calibration, write_temperature
from nlvid_cli.models.model_file import read_card


def _calibration(temperature: float) -> Calibration:
    return Calibration(0.1, 0.05, 1.0, 0.9, 1.0, temperature, determined=True)


def test_the_temperature_goes_into_the_card(small_model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(small_model_file.read_bytes())
    write_temperature(path, _calibration(1.25))
    assert read_card(path).temperature == 1.25


@pytest.mark.parametrize("temperature", [1e-7, 2e3])
def test_a_temperature_that_no_card_has_changes_nothing(
    small_model_file: Path, tmp_path: Path, temperature: float
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(small_model_file.read_bytes())
    with pytest.raises(NlvidError, match="temperature"):
        write_temperature(path, _calibration(temperature))
    assert path.read_bytes() == small_model_file.read_bytes()

from __future__ import annotations

import pytest

from nlvid_cli.errors import UnknownName, UsageError
from nlvid_cli.training.recipe import RECIPES, find_recipe, with_settings


@pytest.mark.parametrize(
    ("name", "batch", "rate"), [("paper-32", 64, 0.01), ("paper-128", 16, 0.0025), ("charades", 8, 0.00125)]
)
def test_learning_rates_of_the_paper(name: str, batch: int, rate: float) -> None:
    recipe = RECIPES[name]  # "Non-local Neural Networks", section 4.1
    assert recipe.batch == batch
    assert recipe.peak_learning_rate == pytest.approx(rate)


def test_the_learning_rate_drops_as_in_the_paper() -> None:
    recipe = RECIPES["paper-32"]  # 400k iterations, a tenth every 150k
    rates = [recipe.learning_rate_at(step, 400_000) for step in (0, 149_999, 150_000, 299_999, 300_000, 399_999)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


def test_warm_up_and_cosine() -> None:
    recipe = find_recipe("finetune").with_changes({"warmup": 0.1, "batch": 64, "learning_rate": 0.01})
    rates = [recipe.learning_rate_at(step, 100) for step in range(100)]
    assert rates[9] == pytest.approx(0.01)
    assert rates[0] == pytest.approx(0.0019)
    assert rates[55] == pytest.approx(0.005)
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)


def test_the_learning_rate_follows_the_batch() -> None:
    assert RECIPES["paper-32"].with_changes({"batch": 8}).peak_learning_rate == pytest.approx(0.00125)


def test_settings() -> None:
    recipe = with_settings(RECIPES["finetune"], ["dropout=0.3", "early-stop=none", "drops=[0.5, 0.8]", "schedule=step"])
    assert (recipe.dropout, recipe.early_stop, recipe.drops, recipe.schedule) == (0.3, None, (0.5, 0.8), "step")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("droput=0.3", "did you mean 'dropout'"),
        ("dropout", "write NAME=VALUE"),
        ("dropout=2", r"dropout is 2.0; it must be in \[0, 1\)"),
        ("schedule=linear", "schedule: input should be 'step' or 'cosine'"),
        ("epochs=0", "epochs is 0; it must be at least 1"),
    ],
)
def test_invalid_settings(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_settings(RECIPES["finetune"], [setting])


def test_unknown_recipe() -> None:
    with pytest.raises(UnknownName, match="did you mean 'finetune'"):
        find_recipe("fine-tune")


def test_the_description_has_what_differs_from_the_defaults() -> None:
    text = RECIPES["paper-128"].describe()
    assert "learning rate 0.0025 for 16 clips" in text
    assert "freeze norm on" in text
    assert "mixup" not in text

"""Strategies out of one's own folder, and what is told of each strategy."""

from __future__ import annotations

import pytest

from workers.engine.strategies.catalog import card, catalog
from workers.engine.strategies.folder import load
from workers.engine.strategy import StrategyError, build

SOURCE = '''
"""Does nothing, slowly."""
from workers.engine.strategy import Params, PositiveInt, Strategy, register

class IdleParams(Params, frozen=True):
    """``wait`` in bars."""
    wait: PositiveInt = 3

@register("{name}", IdleParams)
class Idle(Strategy[IdleParams]):
    def on_timer(self, desk):
        """Waits."""
'''


def test_a_folder_brings_its_strategies(tmp_path):
    (tmp_path / "idle_one.py").write_text(SOURCE.format(name="idle_one"))
    (tmp_path / "_helper.py").write_text("raise RuntimeError('left alone')")
    assert load(str(tmp_path)) == ("idle_one",)
    assert load(str(tmp_path)) == ()
    assert build("idle_one", {"wait": 5}).params.wait == 5
    told = card("idle_one")
    assert (told.summary, told.built_in, told.hooks) == ("Does nothing, slowly.", False, ("on_timer",))
    assert [(one.name, one.type, one.default, one.bounds) for one in told.params] == [("wait", "int", 3, "at least 1")]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\n1 / 0\n", r"broken\.py line 2: ZeroDivisionError"),
        ("import no_such_module\n", r"broken\.py line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(:\n", r"broken\.py.*SyntaxError"),
        ("x = 1\n", r"broken\.py registers no strategy; decorate the class"),
        (SOURCE.format(name="ema_cross"), "strategy ema_cross is already registered"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, source, words):
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(StrategyError, match=words):
        load(str(tmp_path))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StrategyError, match="does not exist"):
        load(str(tmp_path / "nowhere"))


def test_every_built_in_strategy_is_told_with_its_parameters():
    told = {one.name: one for one in catalog() if one.built_in}
    assert set(told) == {"ema_cross", "forecast_portfolio", "market_making", "mean_reversion"}
    assert told["forecast_portfolio"].uses_forecasts
    assert not told["ema_cross"].uses_forecasts
    assert all(one.summary and one.params and one.hooks for one in told.values())
    for one in told.values():
        assert build(one.name, {param.name: param.default for param in one.params}).params == build(one.name, {}).params

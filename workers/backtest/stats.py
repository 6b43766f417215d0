"""Figures of a backtest out of its equity and its trades. Statistics are floats; the money itself stays exact.

Returns are per bar (or per sample). Year-based figures multiply by the number of such periods in 365 days, and are
left out (None) where the test lasted less than two periods. Value at risk is historical, 95 %, of the returns of the
``VAR_WINDOW`` periods before, which are days, hours or bars, whichever first gives enough of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workers.backtest.trades import ClosedTrade
from workers.engine.instruments import MONEY_PER_UNIT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
YEAR_NS: Final = 365 * 86_400 * 10**9
DAY_NS: Final = 86_400 * 10**9
VAR_WINDOW: Final = 60
VAR_LEVEL: Final = 0.95


def money(units: float) -> float:
    """Money units as a number in the quote asset."""
    return float(units) / MONEY_PER_UNIT


def drawdowns(equity: Floats) -> Floats:
    """Loss from the highest equity so far as a fraction, zero or negative."""
    peak = np.maximum.accumulate(equity)
    return equity / peak - 1.0


def returns_of(equity: Floats) -> Floats:
    """Simple returns from one point to the next."""
    return equity[1:] / equity[:-1] - 1.0


def equity_figures(times: Ints, equity: Floats, capital: float) -> dict[str, float | None]:
    """Growth and risk of the equity series."""
    returns, falls = returns_of(equity), drawdowns(equity)
    span = int(times[-1] - times[0])
    periods = len(returns) * YEAR_NS / span if span else 0.0
    total = float(equity[-1]) / capital - 1.0
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    below = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    mean = float(returns.mean()) if len(returns) else 0.0
    worst = float(falls.min())
    yearly = _yearly(total, span)
    return {
        "total_return": total,
        "annual_return": yearly,
        "annual_volatility": deviation * periods**0.5 if span else None,
        "sharpe": mean / deviation * periods**0.5 if deviation else None,
        "sortino": mean / below * periods**0.5 if below else None,
        "max_drawdown": worst,
        "max_drawdown_days": _longest_fall(times, falls) / DAY_NS,
        "calmar": yearly / -worst if yearly is not None and worst < 0 else None,
    }


def _yearly(total: float, span: int) -> float | None:
    """Growth per year; None below one day, where it would say nothing."""
    if span < DAY_NS or total <= -1.0:
        return None
    growth = float(np.log1p(total)) * YEAR_NS / span
    return float(np.expm1(growth)) if growth < 50.0 else None


def _longest_fall(times: Ints, falls: Floats) -> int:
    """Longest time below an earlier high, in ns."""
    at_high = np.flatnonzero(falls >= 0.0)
    marks = np.append(times[at_high], times[-1])
    return int(np.diff(marks).max(initial=0))


def trade_figures(trades: Sequence[ClosedTrade]) -> dict[str, float | int | None]:
    """Counts and averages of the closed trades; money in the quote asset."""
    won = [trade.pnl for trade in trades if trade.pnl > 0]
    lost = [-trade.pnl for trade in trades if trade.pnl < 0]
    count = len(trades)
    return {
        "trades": count,
        "win_rate": len(won) / count if count else None,
        "profit_factor": sum(won) / sum(lost) if lost else None,
        "average_trade": money(sum(trade.pnl for trade in trades)) / count if count else None,
        "best_trade": money(max(trade.pnl for trade in trades)) if count else None,
        "worst_trade": money(min(trade.pnl for trade in trades)) if count else None,
        "average_minutes": sum(t.exit_ns - t.entry_ns for t in trades) / count / 6e10 if count else None,
    }


def var_periods(times: Ints, equity: Floats) -> tuple[str, Ints, Floats]:
    """Name, ends and returns of the periods that value at risk is judged on: days, hours, or the series' own."""
    for name, length in (("day", DAY_NS), ("hour", DAY_NS // 24)):
        period = times // length
        last = np.flatnonzero(np.append(np.diff(period) != 0, True))
        if len(last) > 2 * VAR_WINDOW:
            return name, times[last][1:], returns_of(equity[last])
    return "bar", times[1:], returns_of(equity)


def var_series(returns: Floats) -> Floats:
    """Historical value at risk before each period as a positive fraction; nan until ``VAR_WINDOW`` are known.

    The 5 % quantile of the window, linear between order statistics (type 7).
    """
    out = np.full(len(returns), np.nan)
    if len(returns) > VAR_WINDOW:
        windows = np.lib.stride_tricks.sliding_window_view(returns, VAR_WINDOW)[:-1]
        out[VAR_WINDOW:] = -np.quantile(windows, 1.0 - VAR_LEVEL, axis=1)
    return out


def var_figures(times: Ints, equity: Floats) -> dict[str, Any]:
    """How often the loss of a period was worse than the value at risk before it; 5 % are expected."""
    name, _, returns = var_periods(times, equity)
    level = var_series(returns)
    judged = int(np.count_nonzero(~np.isnan(level)))
    breaches = int(np.count_nonzero(-returns > level + 1e-15))
    expected = round(judged * (1.0 - VAR_LEVEL), 1)
    return {"var_period": name, "var_judged": judged, "var_breaches": breaches, "var_expected": expected}

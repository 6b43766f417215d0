"""Markets of dark venues: they show nothing, so that their price is the middle of the pair's first lit market."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.engine.execution.routing.view import is_dark, siblings
from workers.engine.market_state import MarketState

if TYPE_CHECKING:
    from workers.engine.desk import Desk


def shades(desk: Desk) -> dict[str, tuple[MarketState, ...]]:
    """Dark markets by the symbol that they follow: the pair's first lit instrument, home's where there is one."""
    found: dict[str, tuple[MarketState, ...]] = {}
    for symbol, line in desk.books.lines.items():
        if not is_dark(desk, line.instrument):
            continue
        lit = [one.symbol for one in siblings(desk, symbol) if not is_dark(desk, one.instrument)]
        if lit:
            found[lit[0]] = (*found.get(lit[0], ()), desk.markets[symbol])
    return found


def follow(shown: MarketState, dark: MarketState) -> int:
    """Take the middle of ``shown`` as the price of ``dark``; return it in ticks of ``dark``, rounded down."""
    dark.reference = (shown.bid + shown.ask) * shown.line.value_factor // (2 * dark.line.value_factor)
    dark.reference_ts = shown.reference_ts
    return dark.reference

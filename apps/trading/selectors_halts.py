"""Which halt keeps orders from leaving, for whoever is about to ask for some."""

from __future__ import annotations

from collections.abc import Iterable

from apps.trading.models import ScopeControl
from apps.trading.selectors import desired_control
from workers.engine.instruments import split_key
from workers.engine.risk.scopes import Place, covers, parse_scope
from workers.engine.vocabulary import TradingState


def halts_of(venue: str, symbols: Iterable[str]) -> dict[str, str]:
    """Which halt keeps orders of each of ``symbols`` from leaving, in words; without those that none does."""
    if desired_control(venue)["state"] == TradingState.HALTED:
        return dict.fromkeys(symbols, f"trading on {venue} is halted; resume it first")
    halts = [(parse_scope(one.scope), one) for one in ScopeControl.objects.filter(halted=True).order_by("scope")]
    found: dict[str, str] = {}
    for symbol in symbols:
        place = Place("", frozenset(), split_key(symbol)[1] or venue, symbol)
        halt = next((one for scope, one in halts if covers(scope, place)), None)
        if halt is not None:
            found[symbol] = f"{halt.scope} is halted ({halt.reason}); resume it first"
    return found

"""How much of each limit by scope is in use, counted as the gate counts it: open orders at their worst.

What is here is what the next order is judged on top of: an order is refused where its own part and ``used`` exceed
``most``. Pure; made for people to look at, not for the hot path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.engine.config import DAY_NS
from workers.engine.risk.optional_limits import OptionalLimits, ScopeLimits
from workers.engine.risk.scope_checks import day_counts, exposure_of, open_orders_of, scope_profit
from workers.engine.risk.scopes import ACCOUNT

if TYPE_CHECKING:
    from workers.engine.risk.gate import RiskState

COUNTS: Final = frozenset({"max_open_orders", "max_orders_per_day"})
"""These count orders; all others are money units of the quote asset."""


class ScopeUse(NamedTuple):
    """``scope`` as published, or ``account`` or ``currency:<asset>``; ``limit`` as published; None is not known."""

    scope: str
    limit: str
    used: int | None
    most: int


def scope_uses(state: RiskState, now: int) -> list[ScopeUse]:
    """Use of every published limit of a scope, and of the account's optional ones; empty where there are none."""
    optional = state.limits.optional if state.limits is not None else None
    if optional is None:
        return []
    found = list(_of_account(state, optional, now))
    for bound in optional.scopes:
        found += _of_scope(state, bound, now)
    return found


def _of_account(state: RiskState, limits: OptionalLimits, now: int) -> Iterator[ScopeUse]:
    total = state.ledger.total
    orders, turnover = total.today(now)
    if limits.max_orders_per_day is not None:
        yield ScopeUse(ACCOUNT, "max_orders_per_day", orders, limits.max_orders_per_day)
    if limits.max_turnover_per_day is not None:
        used = turnover + total.open_value
        yield ScopeUse(ACCOUNT, "max_turnover_per_day", used, limits.max_turnover_per_day)
    if limits.max_net is not None:
        yield ScopeUse(ACCOUNT, "max_net_notional", _net(state), limits.max_net)
    worst = [(line.instrument, max(line.worst, 0)) for line in state.books.lines.values()]
    for asset, most in sorted(limits.currencies.items()):
        used = sum(value for instrument, value in worst if instrument.base == asset)
        yield ScopeUse(f"currency:{asset}", "max_currency_notional", used, most)
    for venue, most in sorted(limits.venues.items()):
        used = sum(value for instrument, value in worst if instrument.venue == venue)
        yield ScopeUse(f"venue:{venue}", "max_venue_notional", used, most)


def _net(state: RiskState) -> int:
    """The larger of what all open buys, or all open sells, can lead to, as the gate judges a buy, or a sell."""
    high = low = 0
    for line in state.books.lines.values():
        per_atom = line.mark * line.value_factor
        high += (line.position + line.open_buy * line.lot_atoms) * per_atom
        low += (line.position - line.open_sell * line.lot_atoms) * per_atom
    return max(high, -low)


def _of_scope(state: RiskState, bound: ScopeLimits, now: int) -> Iterator[ScopeUse]:
    if bound.max_gross is not None:
        yield ScopeUse(bound.name, "max_gross_notional", exposure_of(state, bound), bound.max_gross)
    if bound.max_open_orders is not None:
        yield ScopeUse(bound.name, "max_open_orders", open_orders_of(state, bound), bound.max_open_orders)
    if bound.max_orders_per_day is not None or bound.max_turnover_per_day is not None:
        orders, turnover = day_counts(state, bound, now)
        if bound.max_orders_per_day is not None:
            yield ScopeUse(bound.name, "max_orders_per_day", orders, bound.max_orders_per_day)
        if bound.max_turnover_per_day is not None:
            yield ScopeUse(bound.name, "max_turnover_per_day", turnover, bound.max_turnover_per_day)
    yield from _losses(state, bound, now)


def _losses(state: RiskState, bound: ScopeLimits, now: int) -> Iterator[ScopeUse]:
    if bound.max_daily_loss is None and bound.max_drawdown is None:
        return
    mark, profit = state.ledger.marks.get(bound.name), scope_profit(state, bound)
    if bound.max_daily_loss is not None:
        used = None
        if mark is not None and profit is not None:
            used = max(mark.day_start - profit, 0) if now // DAY_NS <= mark.day else 0
        yield ScopeUse(bound.name, "max_daily_loss", used, bound.max_daily_loss)
    if bound.max_drawdown is not None:
        used = max(mark.peak - profit, 0) if mark is not None and profit is not None else None
        yield ScopeUse(bound.name, "max_drawdown", used, bound.max_drawdown)

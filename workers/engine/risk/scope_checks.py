"""Limits of one scope: the firm, a desk, a strategy, a venue or an instrument, with its open orders at their worst."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from workers.engine.config import DAY_NS
from workers.engine.risk.optional_limits import ScopeLimits
from workers.engine.risk.overrides import Hit
from workers.engine.risk.scopes import ScopeKind
from workers.engine.vocabulary import Reason, Side

if TYPE_CHECKING:
    from workers.engine.risk.checks import Proposal
    from workers.engine.risk.gate import RiskState

_EXPOSURE = {
    ScopeKind.FIRM: Reason.FIRM_EXPOSURE_ABOVE_LIMIT,
    ScopeKind.DESK: Reason.DESK_EXPOSURE_ABOVE_LIMIT,
    ScopeKind.STRATEGY: Reason.STRATEGY_EXPOSURE_ABOVE_LIMIT,
    ScopeKind.VENUE: Reason.VENUE_EXPOSURE_ABOVE_LIMIT,
    ScopeKind.INSTRUMENT: Reason.INSTRUMENT_EXPOSURE_ABOVE_LIMIT,
}
_LOSS = {
    ScopeKind.FIRM: Reason.FIRM_LOSS_EXCEEDED,
    ScopeKind.DESK: Reason.DESK_LOSS_EXCEEDED,
    ScopeKind.STRATEGY: Reason.STRATEGY_LOSS_EXCEEDED,
}


def check_scope(
    p: Proposal,
    state: RiskState,
    bound: ScopeLimits,
) -> None:
    """What the published limits of one scope say about an order that belongs to it."""
    scope = bound.name
    if bound.max_order_notional is not None and p.notional > bound.max_order_notional:
        p.hits.append(Hit(Reason.NOTIONAL_ABOVE_LIMIT, scope, p.notional))
    if bound.max_open_orders is not None:
        count = open_orders_of(state, bound) + 1
        if count > bound.max_open_orders:
            p.hits.append(Hit(Reason.OPEN_ORDERS_ABOVE_LIMIT, scope, count))
    if bound.max_gross is not None:
        before, after = _scope_gross(p, state, bound)
        if after > bound.max_gross and after > before:
            p.hits.append(Hit(_EXPOSURE[bound.scope.kind], scope, after))
    if not p.reduces:
        _check_scope_day(p, state, bound)
        reason = _LOSS.get(bound.scope.kind)
        if reason is not None and loss_of(state, bound, p.now) and reason not in p.found:
            p.found.append(reason)


def _members_or_all(state: RiskState, members: Collection[str] | None) -> Collection[str]:
    return state.ledger.strategies.keys() if members is None else members


def open_orders_of(state: RiskState, bound: ScopeLimits) -> int:
    """Open orders of the scope."""
    members = bound.members
    if members is not None:
        known = state.ledger.strategies
        return sum(known[name].open_count for name in members if name in known)
    kind, name = bound.scope
    if kind is ScopeKind.FIRM:
        return state.books.open_count
    if kind is ScopeKind.INSTRUMENT:
        line = state.books.lines.get(name)
        return len(line.open) if line is not None else 0
    return state.ledger.open_at.get(name, 0)


def exposure_of(state: RiskState, bound: ScopeLimits) -> int:
    """Worst-case exposure of the scope as it stands, in money units."""
    if bound.members is not None:
        return state.ledger.groups[bound.members].gross
    kind, name = bound.scope
    if kind is ScopeKind.FIRM:
        return state.valuation.gross
    lines = state.books.lines.values()
    if kind is ScopeKind.INSTRUMENT:
        return sum(max(line.worst, 0) for line in lines if line.symbol == name)
    return sum(max(line.worst, 0) for line in lines if line.instrument.venue == name)


def _scope_gross(p: Proposal, state: RiskState, bound: ScopeLimits) -> tuple[int, int]:
    """Worst-case exposure of the scope without and with the order."""
    if bound.members is not None:
        return _own_gross(p, state, bound.members)
    kind, name = bound.scope
    if kind is ScopeKind.INSTRUMENT:
        return p.before, p.after
    others = state.valuation.gross - p.before
    if kind is ScopeKind.VENUE and others + p.after > (bound.max_gross or 0):
        # What trades elsewhere does not count, and only matters near the limit.
        others -= sum(max(line.worst, 0) for line in state.books.lines.values() if line.instrument.venue != name)
    return others + p.before, others + p.after


def _own_gross(p: Proposal, state: RiskState, members: frozenset[str]) -> tuple[int, int]:
    """Worst-case exposure of strategies by their own fills and open orders, without and with the order."""
    group, line = state.ledger.groups[members], p.market.line
    cell = group.cells.get(line.symbol)
    others, up, down = group.gross, 0, 0
    if cell is not None:
        others -= cell.worst
        up, down = cell.held + cell.buying, cell.held - cell.selling
    before = others + max(up, -down) * p.per_atom
    atoms = p.order.lots * line.lot_atoms
    if p.order.side is Side.BUY:
        up += atoms
    else:
        down -= atoms
    return before, others + max(up, -down) * p.per_atom


def day_counts(state: RiskState, bound: ScopeLimits, now: int) -> tuple[int, int]:
    """(orders, money units traded or still open) of the scope in the UTC day of ``now``."""
    orders = value = 0
    for name in _members_or_all(state, bound.members):
        use = state.ledger.strategies.get(name)
        if use is not None:
            counted, traded = use.today(now)
            orders += counted
            value += traded + use.open_value
    return orders, value


def _check_scope_day(p: Proposal, state: RiskState, bound: ScopeLimits) -> None:
    if bound.max_orders_per_day is None and bound.max_turnover_per_day is None:
        return
    scope = bound.name
    orders, value = day_counts(state, bound, p.now)
    if bound.max_orders_per_day is not None and orders + 1 > bound.max_orders_per_day:
        p.hits.append(Hit(Reason.ORDERS_PER_DAY_ABOVE_LIMIT, scope, orders + 1))
    if bound.max_turnover_per_day is not None and value + p.notional > bound.max_turnover_per_day:
        p.hits.append(Hit(Reason.TURNOVER_ABOVE_LIMIT, scope, value + p.notional))


def scope_profit(state: RiskState, bound: ScopeLimits) -> int | None:
    """What the scope has made, in money units at the newest marks; None while a position of it has no price."""
    members = bound.members
    if members is None:
        return None if state.valuation.unmarked else state.valuation.pnl
    return state.ledger.profit(members)


def loss_of(state: RiskState, bound: ScopeLimits, now: int) -> str:
    """Name the loss of the scope that has reached its limit, if one has; while its profit is not known, none has."""
    mark = state.ledger.marks.get(bound.name)
    profit = scope_profit(state, bound) if mark is not None else None
    if profit is None or mark is None:
        return ""
    if bound.max_drawdown is not None and max(mark.peak - profit, 0) >= bound.max_drawdown:
        return "drawdown"
    day_start = mark.day_start if now // DAY_NS <= mark.day else profit
    if bound.max_daily_loss is not None and day_start - profit >= bound.max_daily_loss:
        return "daily loss"
    return ""

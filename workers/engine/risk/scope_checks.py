"""Limits of one scope: the firm, a desk, a strategy, a venue or an instrument, with its open orders at their worst."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from workers.engine.accounting.line import Line
from workers.engine.config import DAY_NS
from workers.engine.execution.orders import Order
from workers.engine.risk.optional_limits import OptionalLimits, ScopeLimits
from workers.engine.risk.overrides import Hit
from workers.engine.risk.scopes import Place, ScopeKind, covers
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
    limits: OptionalLimits,
    bound: ScopeLimits,
) -> None:
    """What the published limits of one scope say about an order that belongs to it."""
    scope = str(bound.scope)
    if bound.max_order_notional is not None and p.notional > bound.max_order_notional:
        p.hits.append(Hit(Reason.NOTIONAL_ABOVE_LIMIT, scope, p.notional))
    members = state.ledger.members(bound.scope, limits)
    if bound.max_open_orders is not None:
        count = _open_orders(state, bound, members) + 1
        if count > bound.max_open_orders:
            p.hits.append(Hit(Reason.OPEN_ORDERS_ABOVE_LIMIT, scope, count))
    if bound.max_gross is not None:
        before, after = _scope_gross(p, state, bound, members)
        if after > bound.max_gross and after > before:
            p.hits.append(Hit(_EXPOSURE[bound.scope.kind], scope, after))
    if not p.reduces:
        _check_scope_day(p, state, bound, members)
        reason = _LOSS.get(bound.scope.kind)
        if reason is not None and loss_of(state, limits, bound, p.now) and reason not in p.found:
            p.found.append(reason)


def _members_or_all(state: RiskState, members: Collection[str] | None) -> Collection[str]:
    return state.ledger.strategies.keys() if members is None else members


def _open_orders(state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> int:
    if bound.scope.kind is ScopeKind.FIRM:
        return state.books.open_count
    count = 0
    for line in state.books.lines.values():
        if members is not None:
            count += sum(state.ledger.runs.get(order.run_id, "") in members for order in line.open.values())
        elif covers(bound.scope, Place("", frozenset(), line.instrument.venue, line.symbol)):
            count += len(line.open)
    return count


def _scope_gross(p: Proposal, state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> tuple[int, int]:
    """Worst-case exposure of the scope without and with the order."""
    if members is None:
        inside = [
            line
            for line in state.books.lines.values()
            if covers(bound.scope, Place("", frozenset(), line.instrument.venue, line.symbol))
        ]
        others = sum(max(line.worst, 0) for line in inside if line is not p.market.line)
        return others + p.before, others + p.after
    before = after = 0
    for line in state.books.lines.values():
        up, down = _own_extremes(state, line, members)
        per_atom = p.per_atom if line is p.market.line else line.mark * line.value_factor
        before += max(up, -down) * per_atom
        if line is p.market.line:
            atoms = p.order.lots * line.lot_atoms
            if p.order.side is Side.BUY:
                up += atoms
            else:
                down -= atoms
        after += max(up, -down) * per_atom
    return before, after


def _own_extremes(state: RiskState, line: Line, members: Collection[str]) -> tuple[int, int]:
    """Atoms that these strategies hold of the line when all their open buys, or all their open sells, fill."""
    ledger = state.ledger
    held = sum(ledger.strategies[name].atoms.get(line.symbol, 0) for name in members if name in ledger.strategies)
    up = down = held
    for order in line.open.values():
        if ledger.runs.get(order.run_id, "") in members:
            if order.side is Side.BUY:
                up += order.remaining * line.lot_atoms
            else:
                down -= order.remaining * line.lot_atoms
    return up, down


def _check_scope_day(p: Proposal, state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> None:
    if bound.max_orders_per_day is None and bound.max_turnover_per_day is None:
        return
    scope, orders, turnover = str(bound.scope), 0, 0
    for name in _members_or_all(state, members):
        use = state.ledger.strategies.get(name)
        if use is not None:
            counted, traded = use.today(p.now)
            orders += counted
            turnover += traded
    if bound.max_orders_per_day is not None and orders + 1 > bound.max_orders_per_day:
        p.hits.append(Hit(Reason.ORDERS_PER_DAY_ABOVE_LIMIT, scope, orders + 1))
    if bound.max_turnover_per_day is not None:
        value = turnover + p.notional + open_notional(state, members)
        if value > bound.max_turnover_per_day:
            p.hits.append(Hit(Reason.TURNOVER_ABOVE_LIMIT, scope, value))


def scope_profit(state: RiskState, limits: OptionalLimits, bound: ScopeLimits) -> int | None:
    """What the scope has made, in money units at the newest marks; None while a position of it has no price."""
    members = state.ledger.members(bound.scope, limits)
    if members is None:
        return None if state.valuation.unmarked else state.valuation.pnl
    return None if state.ledger.unmarked(members) else state.ledger.profit(members)


def loss_of(state: RiskState, limits: OptionalLimits, bound: ScopeLimits, now: int) -> str:
    """Name the loss of the scope that has reached its limit, if one has; while its profit is not known, none has."""
    profit, mark = scope_profit(state, limits, bound), state.ledger.marks.get(str(bound.scope))
    if profit is None or mark is None:
        return ""
    if bound.max_drawdown is not None and max(mark.peak - profit, 0) >= bound.max_drawdown:
        return "drawdown"
    day_start = mark.day_start if now // DAY_NS <= mark.day else profit
    if bound.max_daily_loss is not None and day_start - profit >= bound.max_daily_loss:
        return "daily loss"
    return ""


def open_notional(state: RiskState, strategies: Collection[str] | None) -> int:
    """The most that open orders can still trade for: buys at their limit, sells at that or the mark, if higher."""
    value = 0
    for line in state.books.lines.values():
        for order in line.open.values():
            if strategies is None or state.ledger.runs.get(order.run_id, "") in strategies:
                value += order.remaining * _worst_price(order, line) * line.lot_value
    return value


def _worst_price(order: Order, line: Line) -> int:
    price = order.price or order.reference
    return max(price, line.mark) if order.side is Side.SELL else price

"""Limits of one scope: the firm, a desk, a strategy, a venue or an instrument, with its open orders at their worst."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from workers.engine.accounting.line import Line
from workers.engine.config import DAY_NS
from workers.engine.risk.optional_limits import ScopeLimits
from workers.engine.risk.overrides import Hit
from workers.engine.risk.scopes import ScopeKind
from workers.engine.vocabulary import Reason, Side

if TYPE_CHECKING:
    from workers.engine.risk.checks import Proposal
    from workers.engine.risk.gate import RiskState
    from workers.engine.risk.ledger import StrategyUse

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
    scope, members = bound.name, bound.members
    if bound.max_order_notional is not None and p.notional > bound.max_order_notional:
        p.hits.append(Hit(Reason.NOTIONAL_ABOVE_LIMIT, scope, p.notional))
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
        if reason is not None and loss_of(state, bound, p.now) and reason not in p.found:
            p.found.append(reason)


def _members_or_all(state: RiskState, members: Collection[str] | None) -> Collection[str]:
    return state.ledger.strategies.keys() if members is None else members


def _open_orders(state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> int:
    if members is not None:
        known = state.ledger.strategies
        return sum(known[name].open_count for name in members if name in known)
    kind, name = bound.scope
    if kind is ScopeKind.FIRM:
        return state.books.open_count
    if kind is ScopeKind.INSTRUMENT:
        return len(state.books.lines[name].open)
    return sum(len(line.open) for line in state.books.lines.values() if line.instrument.venue == name)


def _scope_gross(p: Proposal, state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> tuple[int, int]:
    """Worst-case exposure of the scope without and with the order."""
    if members is not None:
        return _own_gross(p, state, members)
    kind, name = bound.scope
    if kind is ScopeKind.INSTRUMENT:
        return p.before, p.after
    others = state.valuation.gross - p.before
    if kind is ScopeKind.VENUE and others + p.after > (bound.max_gross or 0):
        # What trades elsewhere does not count, and only matters near the limit.
        others -= sum(max(line.worst, 0) for line in state.books.lines.values() if line.instrument.venue != name)
    return others + p.before, others + p.after


def _own_gross(p: Proposal, state: RiskState, members: Collection[str]) -> tuple[int, int]:
    """Worst-case exposure of strategies by their own fills and open orders, without and with the order."""
    uses = [use for name in members if (use := state.ledger.strategies.get(name)) is not None]
    mine, lines = p.order.symbol, state.books.lines
    others = _single_gross(uses[0], lines, mine) if len(uses) == 1 else _joint_gross(uses, lines, mine)
    up, down = _own_extremes(uses, mine)
    before = others + max(up, -down) * p.per_atom
    atoms = p.order.lots * p.market.line.lot_atoms
    if p.order.side is Side.BUY:
        up += atoms
    else:
        down -= atoms
    return before, others + max(up, -down) * p.per_atom


def _single_gross(use: StrategyUse, lines: dict[str, Line], but: str) -> int:
    """Worst-case exposure of one strategy in all instruments but one."""
    total, buying, selling = 0, use.buying, use.selling
    for symbol, held in use.atoms.items():
        if symbol != but:
            up, down = held + buying.get(symbol, 0), selling.get(symbol, 0) - held
            line = lines[symbol]
            total += (up if up > down else down) * line.mark * line.value_factor  # noqa: FURB136 - max() is slower
    return total


def _joint_gross(uses: Sequence[StrategyUse], lines: dict[str, Line], but: str) -> int:
    """The same of several strategies, whose positions make up for each other."""
    total = 0
    for symbol in {symbol for use in uses for symbol in use.atoms}:
        if symbol != but:
            up, down = _own_extremes(uses, symbol)
            line = lines[symbol]
            total += max(up, -down) * line.mark * line.value_factor
    return total


def _own_extremes(uses: Sequence[StrategyUse], symbol: str) -> tuple[int, int]:
    """Atoms that these strategies hold of ``symbol`` when all their open buys, or all their open sells, fill."""
    up = down = 0
    for use in uses:
        held = use.atoms.get(symbol, 0)
        up += held + use.buying.get(symbol, 0)
        down += held - use.selling.get(symbol, 0)
    return up, down


def _check_scope_day(p: Proposal, state: RiskState, bound: ScopeLimits, members: Collection[str] | None) -> None:
    if bound.max_orders_per_day is None and bound.max_turnover_per_day is None:
        return
    scope, orders, turnover, resting = bound.name, 0, 0, 0
    for name in _members_or_all(state, members):
        use = state.ledger.strategies.get(name)
        if use is not None:
            counted, traded = use.today(p.now)
            orders += counted
            turnover += traded
            resting += use.open_value
    if bound.max_orders_per_day is not None and orders + 1 > bound.max_orders_per_day:
        p.hits.append(Hit(Reason.ORDERS_PER_DAY_ABOVE_LIMIT, scope, orders + 1))
    if bound.max_turnover_per_day is not None:
        value = turnover + p.notional + resting
        if value > bound.max_turnover_per_day:
            p.hits.append(Hit(Reason.TURNOVER_ABOVE_LIMIT, scope, value))


def scope_profit(state: RiskState, bound: ScopeLimits) -> int | None:
    """What the scope has made, in money units at the newest marks; None while a position of it has no price."""
    members = bound.members
    if members is None:
        return None if state.valuation.unmarked else state.valuation.pnl
    return None if state.ledger.unmarked(members) else state.ledger.profit(members)


def loss_of(state: RiskState, bound: ScopeLimits, now: int) -> str:
    """Name the loss of the scope that has reached its limit, if one has; while its profit is not known, none has."""
    profit, mark = scope_profit(state, bound), state.ledger.marks.get(bound.name)
    if profit is None or mark is None:
        return ""
    if bound.max_drawdown is not None and max(mark.peak - profit, 0) >= bound.max_drawdown:
        return "drawdown"
    day_start = mark.day_start if now // DAY_NS <= mark.day else profit
    if bound.max_daily_loss is not None and day_start - profit >= bound.max_daily_loss:
        return "daily loss"
    return ""

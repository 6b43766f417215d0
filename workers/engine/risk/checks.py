"""The checks behind the optional limits: scopes, exposure of every kind, the day's counts, volume, price and risk.

All read one state and change nothing. Exposure counts every open order at its worst, so that orders of several
strategies in the same event see each other: an order that passed is in the books before the next one is judged. What
needs sums over instruments or open orders is summed here, so that it costs only the desk that published such a limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.engine.accounting.line import Line
from workers.engine.market_state import MarketState
from workers.engine.risk.optional_limits import BPS, LEVERAGE_SCALE, OptionalLimits, ScopeLimits
from workers.engine.risk.overrides import Hit
from workers.engine.risk.scope_checks import check_scope
from workers.engine.risk.scopes import ACCOUNT, HALT_REASONS, Place, covers, desks_of
from workers.engine.vocabulary import OrderType, Reason, Side

if TYPE_CHECKING:
    from workers.engine.risk.gate import OrderRequest, RiskState
    from workers.engine.risk.var_snapshot import VarSnapshot


FEW: Final = 7
"""With fewer instruments, an array takes longer to make than their pairs to sum."""


class Proposal(NamedTuple):
    """The order with everything that its checks share. ``per_atom`` is the price of an atom in money units."""

    order: OrderRequest
    market: MarketState
    place: Place
    scopes: tuple[ScopeLimits, ...]
    """Scopes with limits that the order belongs to."""
    reduces: bool
    notional: int
    now: int
    up: int
    down: int
    """Atoms of the position when all buys, or all sells, of the instrument fill, this order included."""
    before: int
    after: int
    """Worst-case value of the instrument without and with this order."""
    per_atom: int
    found: list[Reason]
    hits: list[Hit]
    """Where the checks write what they find."""


def place_of(order: OrderRequest, line: Line, state: RiskState) -> Place:
    """Where the order belongs."""
    return belonging(order, line, state)[0]


def belonging(order: OrderRequest, line: Line, state: RiskState) -> tuple[Place, tuple[ScopeLimits, ...]]:
    """Where the order belongs, and the scopes that bound it."""
    run_id = order.run_id
    if run_id is None:
        run = state.markets[order.symbol].run
        run_id = run.run_id if run is not None else ""
    key = (state.ledger.runs.get(run_id, ""), order.symbol)
    found = state.belongings.get(key)
    if found is None:
        optional = state.limits.optional if state.limits is not None else None
        desks = desks_of(key[0], optional.desks) if optional is not None else frozenset[str]()
        place = Place(key[0], desks, line.instrument.venue, order.symbol)
        bounds = optional.scopes if optional is not None else ()
        found = (place, tuple(bound for bound in bounds if covers(bound.scope, place)))
        state.belongings[key] = found
    return found


def check_halts(place: Place, state: RiskState, found: list[Reason]) -> None:
    """Is entry blocked for a scope that the order belongs to?"""
    for halt in state.ledger.halts.values():
        if covers(halt.scope, place):
            reason = HALT_REASONS[halt.scope.kind]
            if reason not in found:
                found.append(reason)


def check_optional(p: Proposal, state: RiskState, limits: OptionalLimits) -> None:
    """Everything that the published optional limits say about the order."""
    if limits.effective_from and p.now < limits.effective_from:
        p.found.append(Reason.LIMITS_NOT_EFFECTIVE)
    if limits.expires_at and p.now >= limits.expires_at:
        p.found.append(Reason.LIMITS_EXPIRED)
    if p.place.venue in limits.restricted_venues:
        p.found.append(Reason.VENUE_RESTRICTED)
    if limits.self_trade_prevention and _crosses_own(p):
        p.found.append(Reason.SELF_TRADE)
    if limits.min_cash is not None and p.order.side is Side.BUY:
        _check_cash(p, state, limits.min_cash)
    if p.after > p.before:
        _check_exposure(p, state, limits)
    if not p.reduces:
        _check_entry(p, state, limits)
    for bound in p.scopes:
        check_scope(p, state, bound)


# -- the order itself


def _crosses_own(p: Proposal) -> bool:
    """True when the order could trade with one of our own open orders on the other side."""
    order, line = p.order, p.market.line
    buying = order.side is Side.BUY
    if not (line.open_sell if buying else line.open_buy):
        return False
    price = order.price if order.order_type is not OrderType.MARKET else 0
    for other in line.open.values():
        if other.side is order.side or not other.remaining:
            continue
        if not price or not other.price or (price >= other.price if buying else price <= other.price):
            return True
    return False


def _check_cash(p: Proposal, state: RiskState, least: int) -> None:
    order, market = p.order, p.market
    need = market.line.worst_cost(order.order_type, order.price, market.reference, order.lots)
    if state.books.cash - state.books.reserved - need < least:
        p.found.append(Reason.CASH_RESERVE_BELOW_LIMIT)


def _check_entry(p: Proposal, state: RiskState, limits: OptionalLimits) -> None:
    """What refuses new risk and never a way out of it."""
    market = p.market
    if not limits.market_orders and p.order.order_type is OrderType.MARKET:
        p.found.append(Reason.MARKET_ORDER_NOT_ALLOWED)
    if limits.max_spread_bps is not None and market.has_top and market.reference > 0:
        spread = -((market.bid - market.ask) * BPS // market.reference)
        if spread > limits.max_spread_bps:
            p.hits.append(Hit(Reason.SPREAD_TOO_WIDE, ACCOUNT, spread))
    if limits.wants_volume:
        _check_volume(p, state, limits)
    _check_day(p, state, limits)
    if limits.max_repeated_executions is not None and repeats(
        state, p.place.strategy, limits, limits.max_repeated_executions, p.now
    ):
        p.found.append(Reason.REPEATED_EXECUTION_THROTTLE)
    if limits.max_var is not None:
        _check_var(p, state, limits, limits.max_var)


def repeats(state: RiskState, strategy: str, limits: OptionalLimits, most: int, now: int) -> bool:
    """True when the strategy was already applied ``most`` times within the window (RTS 6, article 15(3))."""
    use = state.ledger.strategies.get(strategy)
    if use is None or len(use.times) < most:
        return False
    return not most or now - use.times[-most] < limits.execution_window_ns


def _check_volume(p: Proposal, state: RiskState, limits: OptionalLimits) -> None:
    """Size against what traded lately; where nothing was seen to trade, any size is too large."""
    span, order, line = limits.volume_window_ns, p.order, p.market.line
    seen = state.volumes.get(order.symbol)
    volume = seen.total(p.now, span) if seen is not None else 0
    scope = f"instrument:{order.symbol}"
    if limits.max_order_volume_bps is not None:
        share = -(-order.lots * BPS // volume) if volume else order.lots * BPS
        if share > limits.max_order_volume_bps:
            p.hits.append(Hit(Reason.QUANTITY_ABOVE_RECENT_VOLUME, scope, share))
    if limits.max_participation_bps is not None:
        own = state.ledger.own_volume.get(order.symbol)
        ours = (own.total(p.now, span) if own is not None else 0) + line.open_buy + line.open_sell + order.lots
        share = -(-ours * BPS // volume) if volume else ours * BPS
        if share > limits.max_participation_bps:
            p.hits.append(Hit(Reason.PARTICIPATION_ABOVE_LIMIT, scope, share))


# -- exposure of the account


def _check_exposure(p: Proposal, state: RiskState, limits: OptionalLimits) -> None:
    symbol, gross = p.order.symbol, state.valuation.gross - p.before + p.after
    if limits.leverage is not None or limits.max_concentration_bps is not None:
        equity = state.valuation.equity
        if limits.leverage is not None and gross * LEVERAGE_SCALE > limits.leverage * equity:
            p.hits.append(Hit(Reason.LEVERAGE_ABOVE_LIMIT, ACCOUNT, _share(gross, equity)))
        if limits.max_concentration_bps is not None and p.after * BPS > limits.max_concentration_bps * equity:
            p.hits.append(
                Hit(Reason.CONCENTRATION_ABOVE_LIMIT, f"instrument:{symbol}", _share(p.after, equity)),
            )
    # Net exposure is never above gross: only a book near its limit needs the sum.
    if limits.max_net is not None and gross > limits.max_net:
        _check_net(p, state, limits.max_net)
    _check_parts(p, state, limits, gross)


def _check_parts(p: Proposal, state: RiskState, limits: OptionalLimits, gross: int) -> None:
    """The base asset's and the venue's part of the exposure, summed only where all of it would be too much."""
    instrument, lines = p.market.line.instrument, state.books.lines.values()
    bound = limits.currencies.get(instrument.base)
    if bound is not None and gross > bound:
        value = sum(worst_of(line, p) for line in lines if line.instrument.base == instrument.base)
        if value > bound:
            p.hits.append(Hit(Reason.CURRENCY_EXPOSURE_ABOVE_LIMIT, ACCOUNT, value))
    bound = limits.venues.get(instrument.venue)
    if bound is not None and gross > bound:
        value = sum(worst_of(line, p) for line in lines if line.instrument.venue == instrument.venue)
        if value > bound:
            p.hits.append(Hit(Reason.VENUE_EXPOSURE_ABOVE_LIMIT, f"venue:{instrument.venue}", value))


def _share(value: int, equity: int) -> int:
    """``value`` in basis points of equity, rounded up; without equity the share has no bound."""
    return -(-value * BPS // equity) if equity > 0 else value


def worst_of(line: Line, p: Proposal) -> int:
    """Worst-case value of the line, with the order where it is the order's."""
    return p.after if line is p.market.line else max(line.worst, 0)


def _check_net(p: Proposal, state: RiskState, bound: int) -> None:
    """Net exposure at its two extremes: all open buys fill and no sell does, and the reverse."""
    high = low = 0
    for line in state.books.lines.values():
        if line is p.market.line:
            high += p.up * p.per_atom
            low += p.down * p.per_atom
        else:
            per_atom = line.mark * line.value_factor
            high += (line.position + line.open_buy * line.lot_atoms) * per_atom
            low += (line.position - line.open_sell * line.lot_atoms) * per_atom
    value = high if p.order.side is Side.BUY else -low
    if value > bound:
        p.hits.append(Hit(Reason.NET_EXPOSURE_ABOVE_LIMIT, ACCOUNT, value))


def _check_var(p: Proposal, state: RiskState, limits: OptionalLimits, bound: int) -> None:
    """VaR of the worst-case book with the order, against what it would be without: an order that lowers it passes."""
    snapshot = state.var
    if snapshot is None or not 0 <= p.now - snapshot.as_of <= limits.var_max_age_ns:
        p.found.append(Reason.VAR_SNAPSHOT_STALE)
        return
    # The limit's own confidence and horizon: the deviation grows with the root of time.
    factor = limits.var_z * math.sqrt(limits.var_horizon_ns / snapshot.horizon_ns)
    lines = state.books.lines
    if _covers(state, snapshot) and _surely_within(p, state, snapshot, factor, bound):
        return
    values = {line.symbol: float(line.extreme) for line in lines.values() if line.worst}
    before = snapshot.deviation(values)
    values[p.order.symbol] = float((p.up if p.up >= -p.down else p.down) * p.per_atom)
    after = snapshot.deviation(values)
    if before is None or after is None:
        p.found.append(Reason.VAR_SNAPSHOT_STALE)
        return
    value = factor * after
    if value > bound and after > before:
        p.hits.append(Hit(Reason.VAR_ABOVE_LIMIT, ACCOUNT, math.ceil(value)))


def _covers(state: RiskState, snapshot: VarSnapshot) -> bool:
    """True when every instrument has a covariance; lines are only ever added, so a new one shows in their number."""
    lines = state.books.lines
    if state.covered[0] is not snapshot or state.covered[1] != len(lines):
        state.covered = (snapshot, len(lines), snapshot.covers_all(lines))
    return state.covered[2]


def _surely_within(p: Proposal, state: RiskState, snapshot: VarSnapshot, factor: float, bound: int) -> bool:
    """True when ``factor`` deviations of the book with the order are within ``bound``; False says nothing.

    No book of a gross exposure can deviate more than by the widest return, however it is made up. Where that does not
    settle it, the sum over all pairs does, but for those so close to the limit that rounding could decide; and for a
    few instruments, whose pairs are sooner summed exactly.
    """
    if factor * snapshot.widest * (state.valuation.gross - p.before + p.after) <= bound:
        return True
    lines = state.books.lines
    if len(lines) < FEW:
        return False
    values = [float(lines[symbol].extreme) if symbol in lines else 0.0 for symbol in snapshot.symbols]
    values[snapshot.places[p.order.symbol]] = float((p.up if p.up >= -p.down else p.down) * p.per_atom)
    return factor * snapshot.most(values) <= bound


# -- the day's counts


def _check_day(p: Proposal, state: RiskState, limits: OptionalLimits) -> None:
    orders, turnover = state.ledger.total.today(p.now)
    if limits.max_orders_per_day is not None and orders + 1 > limits.max_orders_per_day:
        p.hits.append(Hit(Reason.ORDERS_PER_DAY_ABOVE_LIMIT, ACCOUNT, orders + 1))
    if limits.max_turnover_per_day is not None:
        value = turnover + p.notional + state.ledger.total.open_value
        if value > limits.max_turnover_per_day:
            p.hits.append(Hit(Reason.TURNOVER_ABOVE_LIMIT, ACCOUNT, value))

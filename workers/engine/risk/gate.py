"""The pre-trade gate: may this order leave? Pure, and fast enough to stand before every order.

All reasons that apply are collected, not only the first. Exposure is judged at its worst: position plus every open
order of the same side. An order that does not add to an exposure is not refused because that exposure is too large
already, so that a book above a lowered limit can still be reduced. Cancels never pass through here.

The state it reads is kept step by step elsewhere, so a check costs the same with one open order or thousands. What
the optional limits add (``checks``) is summed over instruments or open orders, and costs only those who published them.

A limit with a number that would be exceeded is a ``Hit``; an override that two people agreed on may excuse it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from workers.engine.accounting.books import Books
from workers.engine.accounting.line import worst_price
from workers.engine.accounting.valuation import Valuation
from workers.engine.events import ConditionalAccepted, Forecast, OrderIntended
from workers.engine.market_state import MarketState
from workers.engine.risk.checks import Proposal, belonging, check_halts, check_optional, place_of
from workers.engine.risk.ledger import RiskLedger
from workers.engine.risk.limits import COLLAR_SCALE, Limits
from workers.engine.risk.optional_limits import ScopeLimits
from workers.engine.risk.overrides import Hit, Override, excused
from workers.engine.risk.scopes import ACCOUNT, Place
from workers.engine.risk.var_snapshot import VarSnapshot
from workers.engine.risk.volume import VolumeWindow
from workers.engine.vocabulary import FeedState, OrderType, Reason, Side, TimeInForce, TradingState


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a strategy wants. Lots and ticks; ``price`` 0 for a market order.

    ``forecast`` is the one it acts on, if it acts on one: its age is part of the check.
    """

    symbol: str
    side: Side
    lots: int
    price: int = 0
    order_type: OrderType = OrderType.LIMIT
    tif: TimeInForce = TimeInForce.IOC
    reduce_only: bool = False
    forecast: Forecast | None = None
    decision: dict[str, Any] = {}
    run_id: str | None = None
    """Run that wants the order, empty for none; None means the run that trades the instrument."""
    expires_at: int = 0
    """When a GTD order ends, ns."""
    reprice: bool = False
    """Move a post-only order that would take to the best price that rests."""
    conditional_id: str = ""
    """Conditional order that releases this one."""
    replaces: str = ""
    """Client id of the order whose place this one takes."""
    exits: tuple[ConditionalAccepted, ...] = ()
    """Exits of a bracket, journalled before its entry."""
    min_lots: int = 0
    """Fill at least so many lots at once, or none; 0 for any part. For IOC orders at a venue that offers it."""
    route: int = 0
    """Number of the parent's routing decision whose leg it is; 0 for none."""
    trigger: int = 0
    """For conditional orders that the venue holds: it is judged as if the market stood at this price. 0 for none."""
    emulated: str = ""
    """Filled in by the desk: what of it the kernel does in the venue's place."""


class Verdict(NamedTuple):
    """Empty ``reasons`` let the order pass; ``inputs`` are the numbers that it was judged by."""

    reasons: tuple[Reason, ...]
    inputs: dict[str, Any]


class RiskState:
    """Everything the gate looks at. ``note`` rebuilds the throttles after a restart."""

    __slots__ = (
        "belongings",
        "books",
        "covered",
        "follows_bars",
        "follows_losses",
        "follows_volume",
        "ledger",
        "limits",
        "limits_until",
        "markets",
        "next_message",
        "overrides",
        "recent",
        "reconciled_at",
        "valuation",
        "var",
        "var_given",
        "volumes",
    )

    def __init__(self, books: Books, valuation: Valuation, markets: dict[str, MarketState]) -> None:
        self.books = books
        self.valuation = valuation
        self.markets = markets
        self.ledger = RiskLedger(books)
        self.overrides: tuple[Override, ...] = ()
        self.var: VarSnapshot | None = None
        self.covered: tuple[VarSnapshot | None, int, bool] = (None, 0, False)
        """(snapshot, number of lines, whether it has a covariance of each), as last looked at."""
        self.var_given = False
        """True once somebody else estimates the covariance: from then on it is not made from closes here."""
        self.belongings: dict[tuple[str, str], tuple[Place, tuple[ScopeLimits, ...]]] = {}
        """Where orders of a strategy in an instrument belong, and the scopes that bound them; made when first asked."""
        self.follows_bars = self.follows_losses = self.follows_volume = False
        """What the limits in force need to be told, so that nobody else pays for it."""
        self.volumes: dict[str, VolumeWindow] = {}
        """What the market traded, by symbol; filled only while a limit asks for it, and gone with the process."""
        self.limits: Limits | None = None
        self.limits_until = 0
        self.reconciled_at: set[str] = set()
        """Venues of the account whose orders and balances agree with ours, and whose connection stands."""
        self.next_message = 0
        """When an order would next be due at the sustained rate (generic cell rate algorithm)."""
        self.recent: dict[tuple[str, int, int, int], int] = {}
        """Time of the newest order by (symbol, side, lots, price), oldest first."""

    @property
    def reconciled(self) -> bool:
        """True when every venue of the session is reconciled; set False to hold back the orders of all."""
        return self.reconciled_at.issuperset(self.books.venues)

    @reconciled.setter
    def reconciled(self, known: bool) -> None:
        self.reconciled_at.clear()
        if known:
            self.reconciled_at.update(self.books.venues)

    def take_limits(self, limits: Limits | None) -> None:
        """Put ``limits`` in force, and follow what they need to be judged by."""
        self.limits = limits
        optional = limits.optional if limits is not None else None
        self.follows_volume = optional is not None and optional.wants_volume
        self.follows_bars = self.follows_volume or (optional is not None and optional.max_var is not None)
        self.follows_losses = optional is not None and bool(optional.losses)
        bounds = optional.scopes if optional is not None else ()
        together = [bound.members for bound in bounds if bound.members is not None]
        self.ledger.follow_open(wanted=optional is not None, together=together)
        self.belongings.clear()

    def traded(self, symbol: str, ts: int, lots: int) -> None:
        """``lots`` of ``symbol`` traded in the market at ``ts``."""
        seen = self.volumes.get(symbol)
        if seen is None:
            self.volumes[symbol] = seen = VolumeWindow()
        seen.add(ts, lots)

    def note(self, intent: OrderIntended) -> None:
        """Count an order that passed against the message rate and the duplicate window."""
        limits = self.limits
        if limits is None:
            return
        self.next_message = max(self.next_message, intent.ts) + limits.message_interval_ns
        recent, horizon = self.recent, intent.ts - limits.duplicate_window_ns
        key = (intent.symbol, int(intent.side), intent.lots, intent.price)
        recent.pop(key, None)
        recent[key] = intent.ts
        for old in list(recent):
            if recent[old] >= horizon:
                break
            del recent[old]


def check(order: OrderRequest, client_id: str, state: RiskState, now: int) -> Verdict:
    """Judge ``order`` against ``state`` at ``now``; changes nothing."""
    found: list[Reason] = []
    hits: list[Hit] = []
    inputs: dict[str, Any] = {}
    market = state.markets.get(order.symbol)
    if market is None:
        return Verdict((Reason.INSTRUMENT_UNKNOWN,), inputs)
    reduces = _reduces(order, market)
    _check_desk(market, state, found, reduces=reduces)
    _check_instrument(order, market, now, found)
    notional = _check_price(order, market, found)
    _check_origin(order, client_id, market, state, found)
    if order.reduce_only and not reduces:
        found.append(Reason.REDUCE_ONLY_WOULD_INCREASE)
    _check_holdings(order, market, state, found, inputs)
    limits = state.limits
    if limits is None:
        found.append(Reason.LIMITS_MISSING)
    else:
        if now > state.limits_until:
            found.append(Reason.LIMITS_STALE)
        _check_order_limits(order, market, limits, found, hits, notional=notional, now=now)
        exposure = _check_exposure(order, market, state, limits, hits=hits, inputs=inputs)
        _check_pace(order, market, state, limits, now=now, found=found)
        if not reduces:
            _check_entry(order, state, limits, now, found)
        if limits.optional is not None:
            place, scopes = belonging(order, market.line, state)
            proposal = Proposal(order, market, place, scopes, reduces, notional, now, *exposure, found, hits)
            check_optional(proposal, state, limits.optional)
        if hits:
            _weigh(hits, order, market, state, now=now, found=found, inputs=inputs)
    _describe(market, state, now, notional, inputs)
    return Verdict(tuple(found), inputs)


def _reduces(order: OrderRequest, market: MarketState) -> bool:
    """True when the order, after all open ones of its side, can only bring the position closer to zero."""
    line = market.line
    if order.side is Side.SELL:
        return 0 < (order.lots + line.open_sell) * line.lot_atoms <= line.position
    return 0 < (order.lots + line.open_buy) * line.lot_atoms <= -line.position


def _check_desk(market: MarketState, state: RiskState, found: list[Reason], *, reduces: bool) -> None:
    trading = state.books.state
    if trading is TradingState.HALTED:
        found.append(Reason.TRADING_HALTED)
    elif trading is TradingState.REDUCING and not reduces:
        found.append(Reason.REDUCING_ONLY)
    if market.line.venue not in state.reconciled_at:
        found.append(Reason.NOT_RECONCILED)
    if state.valuation.unmarked and not reduces:
        found.append(Reason.REFERENCE_MISSING)


def _check_origin(
    order: OrderRequest, client_id: str, market: MarketState, state: RiskState, found: list[Reason]
) -> None:
    if client_id in state.books.orders:
        found.append(Reason.DUPLICATE_CLIENT_ID)
    ledger = state.ledger
    if order.run_id and (order.run_id in ledger.stopped or order.run_id not in ledger.runs):
        found.append(Reason.RUN_STOPPED)
    if ledger.halts:
        check_halts(place_of(order, market.line, state), state, found)


def _check_instrument(order: OrderRequest, market: MarketState, now: int, found: list[Reason]) -> None:
    instrument = market.line.instrument
    if market.feed is FeedState.BREAK or 0 < market.closes_at <= now:
        found.append(Reason.SESSION_CLOSED)
    if market.line.unknown:
        found.append(Reason.ORDER_UNKNOWN_PENDING)
    if order.lots <= 0:
        found.append(Reason.QUANTITY_NOT_POSITIVE)
    elif order.lots < instrument.min_lots:
        found.append(Reason.QUANTITY_BELOW_MIN)
    elif order.lots > instrument.max_lots:
        found.append(Reason.QUANTITY_ABOVE_VENUE_MAX)
    if order.min_lots and not 0 < order.min_lots <= order.lots:
        found.append(Reason.MINIMUM_ABOVE_QUANTITY)


def _check_price(order: OrderRequest, market: MarketState, found: list[Reason]) -> int:
    """Check the price itself and the venue's smallest notional; return the largest notional it can trade at."""
    line, reference, price = market.line, market.reference, order.price
    if reference <= 0 and Reason.REFERENCE_MISSING not in found:
        found.append(Reason.REFERENCE_MISSING)
    reference = order.trigger or reference
    if order.order_type is OrderType.MARKET:
        price = least = reference
        if order.side is Side.BUY:
            price = worst_price(reference)
    else:
        least = price
        if price == 0:
            found.append(Reason.PRICE_MISSING)
        elif price < 0:
            found.append(Reason.PRICE_NOT_POSITIVE)
        if order.side is Side.SELL:
            price = max(price, reference)
    value = order.lots * line.lot_value
    if least * value < line.instrument.min_notional_money:
        found.append(Reason.NOTIONAL_BELOW_MIN)
    return price * value


def _check_holdings(
    order: OrderRequest, market: MarketState, state: RiskState, found: list[Reason], inputs: dict[str, Any]
) -> None:
    """Spot: sells need the asset, buys the cash, at the order's own venue, after what open orders may still take."""
    line, books = market.line, state.books
    if order.side is Side.SELL:
        if line.position < (line.open_sell + order.lots) * line.lot_atoms:
            found.append(Reason.SHORT_NOT_ALLOWED)
        return
    need = line.worst_cost(order.order_type, order.price, order.trigger or market.reference, order.lots)
    free = books.cash_at[line.venue] - books.reserved_at[line.venue]
    inputs["need"] = need
    inputs["free"] = free
    if need > free:
        found.append(Reason.BUYING_POWER_EXCEEDED)


def _check_order_limits(
    order: OrderRequest,
    market: MarketState,
    limits: Limits,
    found: list[Reason],
    hits: list[Hit],
    *,
    notional: int,
    now: int,
) -> None:
    symbol, reference = order.symbol, order.trigger or market.reference
    if symbol in limits.restricted:
        found.append(Reason.INSTRUMENT_RESTRICTED)
    if order.lots > limits.max_order_lots.get(symbol, 0):
        hits.append(Hit(Reason.QUANTITY_ABOVE_LIMIT, f"instrument:{symbol}", order.lots))
    if notional > limits.max_order_notional:
        hits.append(Hit(Reason.NOTIONAL_ABOVE_LIMIT, ACCOUNT, notional))
    if market.feed is not FeedState.LIVE or now - market.reference_ts > limits.reference_max_age_ns:
        found.append(Reason.REFERENCE_STALE)
    if (
        order.order_type is not OrderType.MARKET
        and order.price > 0
        and abs(order.price - reference) * COLLAR_SCALE > limits.collar * reference
    ):
        away = -(-abs(order.price - reference) * 10_000 // reference) if reference > 0 else 10_000
        hits.append(Hit(Reason.PRICE_OUTSIDE_COLLAR, ACCOUNT, away))


def _check_exposure(
    order: OrderRequest,
    market: MarketState,
    state: RiskState,
    limits: Limits,
    *,
    hits: list[Hit],
    inputs: dict[str, Any],
) -> tuple[int, int, int, int, int]:
    """Check what the order does to exposure; return its numbers as ``Proposal`` ends with them."""
    line, books = market.line, state.books
    atoms = order.lots * line.lot_atoms
    up = line.position + line.open_buy * line.lot_atoms
    down = line.position - line.open_sell * line.lot_atoms
    if order.side is Side.BUY:
        up += atoms
        extreme = up
    else:
        down -= atoms
        extreme = -down
    if extreme > limits.max_position.get(order.symbol, 0):
        hits.append(Hit(Reason.POSITION_ABOVE_LIMIT, f"instrument:{order.symbol}", extreme))
    before = max(line.worst, 0)
    per_atom = (line.mark or market.reference) * line.value_factor
    after = max(up, -down) * per_atom
    gross = state.valuation.gross - before + after
    inputs["gross_after"] = gross
    if gross > limits.max_gross and after > before:
        hits.append(Hit(Reason.GROSS_EXPOSURE_ABOVE_LIMIT, ACCOUNT, gross))
    if books.open_count >= limits.max_open_orders:
        hits.append(Hit(Reason.OPEN_ORDERS_ABOVE_LIMIT, ACCOUNT, books.open_count + 1))
    return up, down, before, after, per_atom


def _weigh(
    hits: list[Hit],
    order: OrderRequest,
    market: MarketState,
    state: RiskState,
    *,
    now: int,
    found: list[Reason],
    inputs: dict[str, Any],
) -> None:
    """Deny for every limit that would be exceeded without leave; tell which were, and under which leave."""
    place = place_of(order, market.line, state)
    used, over = [], []
    for hit in hits:
        override = excused(hit, place, state.overrides, now) if state.overrides else None
        if override is not None:
            used.append({"id": override.id, "code": hit.reason.value, "scope": hit.scope, "value": hit.value})
            continue
        over.append({"code": hit.reason.value, "scope": hit.scope, "value": hit.value})
        if hit.reason not in found:
            found.append(hit.reason)
    if used:
        inputs["overrides"] = used
    if over:
        inputs["exceeded"] = over


def _check_pace(
    order: OrderRequest, market: MarketState, state: RiskState, limits: Limits, *, now: int, found: list[Reason]
) -> None:
    # Times in the future are of before a clock was set back: they hold nothing up.
    slack = (limits.burst - 1) * limits.message_interval_ns
    last = market.line.last_intent
    if state.next_message - now > slack or 0 <= now - last < limits.min_order_interval_ns:
        found.append(Reason.MESSAGE_RATE_EXCEEDED)
    twin = state.recent.get((order.symbol, int(order.side), order.lots, order.price))
    if twin is not None and 0 <= now - twin < limits.duplicate_window_ns:
        found.append(Reason.DUPLICATE_ORDER)


def _check_entry(order: OrderRequest, state: RiskState, limits: Limits, now: int, found: list[Reason]) -> None:
    """What refuses new risk and never a way out of it."""
    valuation = state.valuation
    if -valuation.day_pnl >= limits.max_daily_loss:
        found.append(Reason.DAILY_LOSS_EXCEEDED)
    if valuation.drawdown >= limits.max_drawdown:
        found.append(Reason.DRAWDOWN_EXCEEDED)
    forecast = order.forecast
    if forecast is not None and now - forecast.as_of > limits.forecast_max_age_bars * forecast.interval_ns:
        found.append(Reason.FORECAST_STALE)


def _describe(market: MarketState, state: RiskState, now: int, notional: int, inputs: dict[str, Any]) -> None:
    line, valuation = market.line, state.valuation
    inputs["reference"] = market.reference
    inputs["reference_age_ns"] = now - market.reference_ts
    inputs["notional"] = notional
    inputs["position"] = line.position
    inputs["open_buy"] = line.open_buy
    inputs["open_sell"] = line.open_sell
    inputs["open_orders"] = state.books.open_count
    inputs["pnl"] = pnl = valuation.pnl
    inputs["day_pnl"] = pnl - state.books.day_start
    inputs["drawdown"] = max(valuation.peak - pnl, 0)
    inputs["limits_version"] = state.limits.version if state.limits else 0

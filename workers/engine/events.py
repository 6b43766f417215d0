"""Everything that happens to the trading core, as immutable records.

Market events come in at market rate and are not journalled. Journal events change orders, books or states; they are
written to the execution journal in order, and applying them again to empty books gives the same books.

Prices are ticks, order quantities lots, balances atoms, money units as in ``instruments``. Times are nanoseconds
since 1970-01-01 UTC: ``ts_event`` by the venue's clock, ``ts_recv`` when the frame reached our socket.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from workers.engine.execution.conditional_types import ConditionalKind, ConditionalStatus, TriggerSource
from workers.engine.execution.parent import ParentStatus
from workers.engine.execution.routing.router import RouteDecision
from workers.engine.market_events import *  # noqa: F403  # both kinds of event are known by this module
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Reason, Side, TimeInForce, TradingState


class Forecast(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """Quantiles of the log return from the last close to each step of the horizon, for one instrument.

    ``quantiles[i][h]`` belongs to probability ``levels[i]`` and step ``h`` (0-based); ``confidence`` is the
    probability, by those quantiles, that the move over the whole horizon has the sign of its median.
    """

    forecast_id: str
    symbol: str
    model_digest: str
    as_of: int
    """End of the last bar that the forecast has seen, ns."""
    made_at: int
    interval_ns: int
    levels: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]
    confidence: float


class JournalEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of what is journalled; ``ts`` is our clock in ns."""

    ts: int


class SessionOpened(JournalEvent, frozen=True):
    """A worker process took the journal; ``epoch`` grows with each and fences what an older one may still do.

    ``venue`` is the home venue; ``instruments`` are those of all venues of the account, each with its own. A second one
    with the same epoch brings the instruments of a venue that answered later.
    """

    epoch: int
    venue: str
    worker: str
    instruments: tuple[dict[str, Any], ...]


class RunStarted(JournalEvent, frozen=True, omit_defaults=True):
    """``capital_share`` is the part of the account's equity that the run sizes by, in (0, 1]; None for all of it."""

    run_id: str
    release: str
    strategy: str
    params: dict[str, Any]
    model_digest: str
    limits_version: int
    instruments: tuple[str, ...] = ()
    interval_ns: int = 0
    capital_share: Decimal | None = None


class RunStopped(JournalEvent, frozen=True):
    run_id: str
    reason: str


class TradingStateChanged(JournalEvent, frozen=True):
    """``control_version`` is that of the control plane's row, 0 when the loop itself decided."""

    state: TradingState
    reason: str
    by: str
    control_version: int


class ScopeStateChanged(JournalEvent, frozen=True):
    """Entry was blocked for a scope such as ``strategy:ema_cross``, or allowed again; see ``risk.scopes``.

    ``version`` is that of the control plane's row, 0 when the loop itself decided.
    """

    scope: str
    halted: bool
    reason: str
    by: str
    version: int


class ScopesMarked(JournalEvent, frozen=True):
    """Profit of the scopes whose loss is bounded: (profit, its highest, profit at 00:00 UTC), in money units."""

    marks: dict[str, tuple[int, int, int]]


class OverridesActivated(JournalEvent, frozen=True):
    """The approved overrides of limits that hold from now on, all of them."""

    overrides: tuple[dict[str, Any], ...]


class LimitsActivated(JournalEvent, frozen=True):
    version: int
    digest: str
    limits: dict[str, Any]


class BalanceAdopted(JournalEvent, frozen=True):
    """The venue's balance of an asset was taken as ours; ``total`` in atoms.

    ``asset`` is a key: ``USDT`` of the home venue, ``USDT@beta`` of another. ``decision`` is the id of the leave that a
    person gave; empty at first contact, and for what differs by rounding.
    """

    asset: str
    total: int
    decision: str = ""


class OrderDenied(JournalEvent, frozen=True):
    client_id: str
    run_id: str
    symbol: str
    side: Side
    lots: int
    price: int
    reasons: tuple[Reason, ...]
    inputs: dict[str, Any]
    parent_id: str = ""
    conditional_id: str = ""
    route: int = 0
    """Number of the parent's routing decision whose leg it was; 0 for none."""


class OrderIntended(JournalEvent, frozen=True):
    """Durable before anything goes on the wire. ``price`` is 0 for a market order; ``stages`` holds ns per stage."""

    client_id: str
    run_id: str
    symbol: str
    side: Side
    order_type: OrderType
    tif: TimeInForce
    lots: int
    price: int
    reduce_only: bool
    reference: int
    """Price in ticks that the collar was checked against, and arrival price of the order; the trigger of a stop."""
    forecast_id: str
    model_digest: str
    limits_version: int
    epoch: int
    decision: dict[str, Any]
    stages: dict[str, int]
    parent_id: str = ""
    """Parent order that this is a child of; empty for an order of its own."""
    child: int = 0
    """Number among the parent's children, from 1."""
    conditional_id: str = ""
    """Conditional order that released this one; empty for none."""
    expires_at: int = 0
    """When the kernel cancels it (GTD, day), ns; 0 for never. On the wire it is GTC."""
    emulated: str = ""
    """What of it the venue does not do itself and the kernel does instead, in words; empty when all is native."""
    replaces: str = ""
    """Client id of the order whose place it takes; empty for none."""
    min_lots: int = 0
    """The venue fills at least so many lots at once, or none; 0 for any part."""
    route: int = 0
    """Number of the parent's routing decision whose leg it is; 0 for none."""
    trigger: int = 0
    """A stop of the venue's own: it waits there for a trade at or beyond this price, ticks; 0 for none."""


class OrderSent(JournalEvent, frozen=True):
    client_id: str
    stages: dict[str, int]


class OrderAccepted(JournalEvent, frozen=True):
    client_id: str
    venue_order_id: str


class OrderRejected(JournalEvent, frozen=True):
    client_id: str
    code: str
    message: str


class OrderUnknown(JournalEvent, frozen=True):
    """Timeout, disconnect or 5xx after sending: stays so until the venue has answered for it."""

    client_id: str
    detail: str


class OrderNotSent(JournalEvent, frozen=True):
    """An intent that provably never left (found unsent after a restart, or fenced): it ends as CANCELED."""

    client_id: str
    detail: str


class OrderFilled(JournalEvent, frozen=True):
    """One execution. ``fee`` in atoms of ``fee_asset``, a key as of balances; ``trade_id`` makes it idempotent."""

    client_id: str
    trade_id: int
    symbol: str
    side: Side
    lots: int
    price: int
    fee: int
    fee_asset: str
    maker: bool
    ts_event: int


class CancelsTaken(JournalEvent, frozen=True):
    """The control plane's orders to cancel that were acted upon: none of them is acted upon again after a restart."""

    version: int = -1
    """Of the newest order to cancel everything; -1 where this event says nothing of it."""
    numbers: tuple[int, ...] = ()
    """Of orders to cancel a part."""


class CancelRequested(JournalEvent, frozen=True):
    client_id: str
    reason: str


class OrderEnded(JournalEvent, frozen=True):
    """The venue said that the order is over without (further) fills: CANCELED, EXPIRED or REJECTED."""

    client_id: str
    status: OrderStatus
    detail: str


class ParentStarted(JournalEvent, frozen=True):
    """A parent order was taken on; see ``execution.parent``. ``by`` is the strategy or person who asked for it."""

    parent_id: str
    run_id: str
    by: str
    symbol: str
    side: Side
    lots: int
    algorithm: str
    params: dict[str, Any]
    start: int
    end: int
    limit_price: int
    reduce_only: bool
    seed: int
    arrival: int
    """Middle of the market in ticks at the decision, 0 when none was known."""
    route: bool = False
    refused: str = ""
    """Why it is not worked at all; ``ParentEnded`` follows at once, and a crash in between lets nothing out."""
    displaces: bool = False


class RouteDecided(JournalEvent, frozen=True):
    """Where a slice of a parent goes, with all that the decision looked at; the intents of its legs follow.

    ``number`` counts the parent's decisions from 1. ``left_out`` says by symbol why an instrument of the same pair was
    not among the inputs. ``mid`` is the middle of the parent's own market in its ticks, 0 when none was known.
    """

    parent_id: str
    number: int
    decision: RouteDecision
    left_out: dict[str, str]
    mid: int = 0


class ParentCancelRequested(JournalEvent, frozen=True):
    """From here on the parent sends nothing more; its open children are being cancelled."""

    parent_id: str
    reason: str


class ParentEnded(JournalEvent, frozen=True):
    """The parent is over and has no open child; ``detail`` says why when it was not filled."""

    parent_id: str
    status: ParentStatus
    detail: str
    mid: int = 0
    """Middle of the market in ticks, 0 when none was known."""
    volume: int = 0
    """Lots that were seen to trade while it was worked, since the last restart; ``turnover`` the same x ticks."""
    turnover: int = 0


class FillsMarked(JournalEvent, frozen=True):
    """The market was looked at again after fills of a parent, each fill once for each of the times after it.

    By seconds after the fill: (fills that are done with, oldest first; ticks x lots gained; lots that had a price).
    """

    parent_id: str
    looks: dict[str, tuple[int, int, int]]


class ParentMeasured(JournalEvent, frozen=True):
    """Where the market went after a parent's fills: (ticks x lots gained, lots looked at) by seconds after the fill."""

    parent_id: str
    markouts: dict[str, tuple[int, int]]


class ConditionalAccepted(JournalEvent, frozen=True):
    """The kernel holds a conditional order; see ``execution.conditional_types`` for the fields."""

    client_id: str
    run_id: str
    symbol: str
    side: Side
    kind: ConditionalKind
    lots: int
    trigger: int
    price: int
    trail_ticks: int
    trail_bps: int
    trail_step: int
    source: TriggerSource
    reduce_only: bool
    tif: TimeInForce
    expires_at: int
    group: str
    entry: str
    session_id: int
    reference: int
    """Middle of the market in ticks when it was taken, 0 when none was known."""
    emulated: str
    decision: dict[str, Any]
    legs: int = 1
    """How many orders the group has: one that a crash cut short is not half of what was asked for."""
    post_only: bool = False
    native: bool = False
    """The venue holds it: its order is sent at once, with the trigger."""


class ConditionalKept(JournalEvent, frozen=True):
    """The venue refused to hold the order, and the kernel holds it from here on; ``emulated`` says why."""

    client_id: str
    emulated: str


class ConditionalMoved(JournalEvent, frozen=True):
    """A trailing stop's trigger followed the market, or a held order went on into another market session."""

    client_id: str
    trigger: int
    extreme: int
    session_id: int


class ConditionalTriggered(JournalEvent, frozen=True):
    """The price that the order waited for was seen; ``ts_event`` by the venue's clock."""

    client_id: str
    price: int
    source: TriggerSource
    ts_event: int


class ConditionalEnded(JournalEvent, frozen=True):
    """The order sends nothing more. ``filled`` lots of what it released were done by then.

    ``unprotected``: a stop ended against its purpose, and the position that it was to close stays open without it.
    """

    client_id: str
    status: ConditionalStatus
    detail: str
    filled: int
    unprotected: bool = False


class FundingSettled(JournalEvent, frozen=True):
    """A perpetual's funding was settled: ``amount`` in atoms of the quote asset, negative when we paid.

    A symbol settles once at ``ts_event``, the venue's time of settlement in ns, which makes it idempotent.
    """

    symbol: str
    amount: int
    ts_event: int


class Marked(JournalEvent, frozen=True):
    """Sampled valuation. ``equity`` and P&L in money units, positions in atoms, marks in ticks."""

    equity: int
    realised: int
    unrealised: int
    fees: int
    cash: int
    gross: int
    drawdown: int
    positions: dict[str, int]
    marks: dict[str, int]
    funding: int = 0


class FeedChanged(JournalEvent, frozen=True):
    symbol: str
    state: FeedState
    detail: str


class ReconciliationDone(JournalEvent, frozen=True):
    """``breaks`` lists what differed from the venue, in words with both values; empty when books agree.

    ``compared`` is False when nothing was compared because the venue was lost; ``breaks`` then holds why.
    """

    ok: bool
    orders_checked: int
    fills_adopted: int
    breaks: tuple[str, ...]
    compared: bool = True
    venue: str = ""
    """Whose orders and balances were compared; empty for the home venue."""


Journalled = (
    SessionOpened
    | RunStarted
    | RunStopped
    | TradingStateChanged
    | ScopeStateChanged
    | ScopesMarked
    | OverridesActivated
    | LimitsActivated
    | BalanceAdopted
    | OrderDenied
    | OrderIntended
    | OrderSent
    | OrderAccepted
    | OrderRejected
    | OrderUnknown
    | OrderNotSent
    | OrderFilled
    | CancelsTaken
    | CancelRequested
    | OrderEnded
    | ParentStarted
    | RouteDecided
    | ParentCancelRequested
    | ParentEnded
    | FillsMarked
    | ParentMeasured
    | ConditionalAccepted
    | ConditionalMoved
    | ConditionalKept
    | ConditionalTriggered
    | ConditionalEnded
    | FundingSettled
    | Marked
    | FeedChanged
    | ReconciliationDone
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the execution journal: ``hash`` is SHA-256 over the previous hash and the event's bytes, in hex."""

    seq: int
    hash: str
    event: Journalled

"""Which journal events a person must hear of, and the reason codes of the pre-trade gate in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from apps.trading.domain.states import Signal
from workers.engine import events as ev
from workers.engine.vocabulary import FeedState, Reason, TradingState

REASON_WORDS: Final[dict[Reason, str]] = {
    Reason.TRADING_HALTED: "trading is halted",
    Reason.REDUCING_ONLY: "only orders that shrink a position are let through",
    Reason.NOT_RECONCILED: "our books were not yet compared with the venue's",
    Reason.LIMITS_MISSING: "no risk limits are active",
    Reason.LIMITS_STALE: "the risk limits are too old to be trusted",
    Reason.INSTRUMENT_UNKNOWN: "the venue does not list this instrument",
    Reason.INSTRUMENT_RESTRICTED: "the instrument is on the restricted list",
    Reason.SESSION_CLOSED: "the venue's session is closed",
    Reason.QUANTITY_NOT_POSITIVE: "the quantity is not positive",
    Reason.QUANTITY_BELOW_MIN: "the quantity is below the venue's minimum",
    Reason.QUANTITY_ABOVE_VENUE_MAX: "the quantity is above the venue's maximum",
    Reason.QUANTITY_ABOVE_LIMIT: "the quantity is above the limit per order",
    Reason.PRICE_MISSING: "the order has no price",
    Reason.PRICE_NOT_POSITIVE: "the price is not positive",
    Reason.NOTIONAL_BELOW_MIN: "the value is below the venue's minimum",
    Reason.NOTIONAL_ABOVE_LIMIT: "the value is above the limit per order",
    Reason.REFERENCE_MISSING: "there is no market price to compare with",
    Reason.REFERENCE_STALE: "the market price to compare with is too old",
    Reason.PRICE_OUTSIDE_COLLAR: "the price is too far from the market",
    Reason.POSITION_ABOVE_LIMIT: "the position would exceed its limit",
    Reason.GROSS_EXPOSURE_ABOVE_LIMIT: "the gross exposure would exceed its limit",
    Reason.OPEN_ORDERS_ABOVE_LIMIT: "too many orders are open",
    Reason.SHORT_NOT_ALLOWED: "the account cannot sell what it does not hold",
    Reason.BUYING_POWER_EXCEEDED: "there is not enough free cash",
    Reason.REDUCE_ONLY_WOULD_INCREASE: "a reduce-only order would grow the position",
    Reason.DUPLICATE_CLIENT_ID: "the client order id was used before",
    Reason.DUPLICATE_ORDER: "the same order was sent a moment ago",
    Reason.MESSAGE_RATE_EXCEEDED: "orders came too fast",
    Reason.DAILY_LOSS_EXCEEDED: "the loss of the day exceeds its limit",
    Reason.DRAWDOWN_EXCEEDED: "the drawdown exceeds its limit",
    Reason.FORECAST_STALE: "the forecast is too old",
    Reason.ORDER_UNKNOWN_PENDING: "the outcome of an earlier order is not known yet",
}

LOSS_LIMITS: Final = frozenset({Reason.DAILY_LOSS_EXCEEDED, Reason.DRAWDOWN_EXCEEDED})
ORDER_LIMITS: Final = frozenset(
    {
        Reason.QUANTITY_ABOVE_LIMIT,
        Reason.NOTIONAL_ABOVE_LIMIT,
        Reason.PRICE_OUTSIDE_COLLAR,
        Reason.POSITION_ABOVE_LIMIT,
        Reason.GROSS_EXPOSURE_ABOVE_LIMIT,
        Reason.OPEN_ORDERS_ABOVE_LIMIT,
        Reason.MESSAGE_RATE_EXCEEDED,
    }
)
"""Denials that mean a strategy ran into a limit; the others are ordinary states of the market or of the order."""


def in_words(reasons: Iterable[Reason]) -> str:
    """The reasons as one clause."""
    return "; ".join(REASON_WORDS.get(reason, reason.value) for reason in reasons)


def reason_text(code: str) -> str:
    """Words for a code; a venue's own code is returned as it is."""
    return REASON_WORDS[Reason(code)] if code in Reason.__members__ else code


def of_state(venue: str, event: ev.TradingStateChanged) -> Signal | None:
    """Halted raises, active clears; reducing is a person's choice and raises nothing."""
    fingerprint = f"trading_halted:{venue}"
    if event.state is TradingState.ACTIVE:
        return Signal(fingerprint, raised=False)
    if event.state is not TradingState.HALTED:
        return None
    return Signal(
        fingerprint,
        raised=True,
        kind="trading_halted",
        severity="critical",
        title=f"Trading on {venue} is halted",
        detail=f"{event.reason} (by {event.by})",
        evidence={"by": event.by, "reason": event.reason, "control_version": event.control_version},
    )


def of_denial(venue: str, event: ev.OrderDenied) -> Signal | None:
    """A limit breach for loss limits (critical, for the venue) and order limits (warning, per instrument)."""
    loss = [reason for reason in event.reasons if reason in LOSS_LIMITS]
    hit = loss or [reason for reason in event.reasons if reason in ORDER_LIMITS]
    if not hit:
        return None
    scope = venue if loss else f"{venue}:{event.symbol}"
    return Signal(
        f"limit_breach:{scope}:{hit[0].value}",
        raised=True,
        kind="limit_breach",
        severity="critical" if loss else "warning",
        title=f"Risk limit reached on {scope}",
        detail=f"Order {event.client_id} was denied: {in_words(hit)}.",
        evidence={"client_id": event.client_id, "symbol": event.symbol, "reasons": [reason.value for reason in hit]},
    )


def of_feed(venue: str, event: ev.FeedChanged) -> Signal | None:
    """Stale raises; live, or a break between sessions, clears."""
    fingerprint = f"feed_stale:{venue}:{event.symbol}"
    if event.state in (FeedState.LIVE, FeedState.BREAK):
        return Signal(fingerprint, raised=False)
    if event.state is not FeedState.STALE:
        return None
    return Signal(
        fingerprint,
        raised=True,
        kind="feed_stale",
        severity="warning",
        title=f"Market data of {event.symbol} on {venue} is stale",
        detail=event.detail or "No message came in time; entries are refused until the book is whole again.",
        evidence={"symbol": event.symbol, "state": event.state.value},
    )


def of_connection(venue: str, event: ev.ReconciliationDone) -> Signal:
    """A venue that was lost raises; any comparison with it, whatever its outcome, clears."""
    fingerprint = f"venue_unreachable:{venue}"
    if event.compared:
        return Signal(fingerprint, raised=False)
    return Signal(
        fingerprint,
        raised=True,
        kind="venue_unreachable",
        severity="warning",
        title=f"Connection to {venue} was lost",
        detail="; ".join(event.breaks),
        evidence={"reasons": list(event.breaks)},
    )


def of_reconciliation(venue: str, event: ev.ReconciliationDone) -> Signal | None:
    """Breaks raise; agreement clears; a comparison that could not be made says nothing."""
    fingerprint = f"reconciliation_break:{venue}"
    if not event.compared:
        return None
    if event.ok:
        return Signal(fingerprint, raised=False)
    return Signal(
        fingerprint,
        raised=True,
        kind="reconciliation_break",
        severity="critical",
        title=f"Books differ from {venue}",
        detail="; ".join(event.breaks),
        evidence={"breaks": list(event.breaks), "orders_checked": event.orders_checked},
    )


def of_foreign_order(venue: str, client_id: str, what: str) -> Signal:
    """The journal reports on an order that it never intended: somebody else trades on the account."""
    return Signal(
        f"reconciliation_break:{venue}:{client_id}",
        raised=True,
        kind="reconciliation_break",
        severity="critical",
        title=f"An order on {venue} is not ours",
        detail=f"The journal says that order {client_id} was {what}, and holds no intent of it.",
        evidence={"client_id": client_id},
    )

"""Which journal events a person must hear of, and the reason codes of the pre-trade gate in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from apps.trading.domain.states import Signal
from workers.engine import events as ev
from workers.engine.risk.overrides import OVERRIDABLE
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
    Reason.MINIMUM_ABOVE_QUANTITY: "the order asks for a larger part at once than the whole order",
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
    Reason.CONDITIONAL_INVALID: "the conditional order contradicts itself",
    Reason.TRIGGER_ALREADY_REACHED: "the market is already beyond the trigger price",
    Reason.EXPIRY_NOT_AHEAD: "the order would end before it begins",
    Reason.POST_ONLY_WOULD_TAKE: "a post-only order would have taken at once",
    Reason.ORDER_TYPE_NOT_OFFERED: "the venue has no orders of this kind",
    Reason.FIRM_HALTED: "trading of the whole firm is halted",
    Reason.DESK_HALTED: "the strategy's desk is halted",
    Reason.STRATEGY_HALTED: "the strategy is halted",
    Reason.VENUE_HALTED: "the venue is halted",
    Reason.INSTRUMENT_HALTED: "the instrument is halted",
    Reason.RUN_STOPPED: "the run that wants the order is not on",
    Reason.INSTRUMENT_NOT_OF_RUN: "the run does not trade the instrument",
    Reason.VENUE_RESTRICTED: "the venue is on the restricted list",
    Reason.LIMITS_NOT_EFFECTIVE: "the risk limits do not hold yet",
    Reason.LIMITS_EXPIRED: "the risk limits have expired",
    Reason.MARKET_ORDER_NOT_ALLOWED: "market orders are not allowed",
    Reason.SPREAD_TOO_WIDE: "the spread is wider than its limit",
    Reason.SELF_TRADE: "it could trade with an order of our own",
    Reason.QUANTITY_ABOVE_RECENT_VOLUME: "the quantity is too large for what traded lately",
    Reason.PARTICIPATION_ABOVE_LIMIT: "our share of what trades would exceed its limit",
    Reason.CASH_RESERVE_BELOW_LIMIT: "too little cash would be left",
    Reason.LEVERAGE_ABOVE_LIMIT: "gross exposure would be too large for the equity",
    Reason.CONCENTRATION_ABOVE_LIMIT: "the instrument would be too large a part of the equity",
    Reason.NET_EXPOSURE_ABOVE_LIMIT: "the net exposure would exceed its limit",
    Reason.CURRENCY_EXPOSURE_ABOVE_LIMIT: "the exposure to the asset would exceed its limit",
    Reason.VENUE_EXPOSURE_ABOVE_LIMIT: "the exposure on the venue would exceed its limit",
    Reason.FIRM_EXPOSURE_ABOVE_LIMIT: "the exposure of the firm would exceed its limit",
    Reason.DESK_EXPOSURE_ABOVE_LIMIT: "the exposure of the desk would exceed its limit",
    Reason.STRATEGY_EXPOSURE_ABOVE_LIMIT: "the exposure of the strategy would exceed its limit",
    Reason.INSTRUMENT_EXPOSURE_ABOVE_LIMIT: "the exposure to the instrument would exceed its limit",
    Reason.ORDERS_PER_DAY_ABOVE_LIMIT: "the number of orders of the day would exceed its limit",
    Reason.TURNOVER_ABOVE_LIMIT: "what trades in the day would exceed its limit",
    Reason.REPEATED_EXECUTION_THROTTLE: "the strategy repeated itself too often, and is halted",
    Reason.FIRM_LOSS_EXCEEDED: "the loss of the firm exceeds its limit",
    Reason.DESK_LOSS_EXCEEDED: "the loss of the desk exceeds its limit",
    Reason.STRATEGY_LOSS_EXCEEDED: "the loss of the strategy exceeds its limit",
    Reason.VAR_ABOVE_LIMIT: "the value at risk would exceed its limit",
    Reason.VAR_SNAPSHOT_STALE: "the estimate for the value at risk is missing or too old",
}

LOSS_LIMITS: Final = frozenset(
    {
        Reason.DAILY_LOSS_EXCEEDED,
        Reason.DRAWDOWN_EXCEEDED,
        Reason.FIRM_LOSS_EXCEEDED,
        Reason.DESK_LOSS_EXCEEDED,
        Reason.STRATEGY_LOSS_EXCEEDED,
    }
)
ORDER_LIMITS: Final = frozenset(OVERRIDABLE) - {Reason.SPREAD_TOO_WIDE} | {
    Reason.MESSAGE_RATE_EXCEEDED,
    Reason.CASH_RESERVE_BELOW_LIMIT,
    Reason.REPEATED_EXECUTION_THROTTLE,
}
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


def of_scope(venue: str, event: ev.ScopeStateChanged) -> Signal:
    """A halt of a scope raises until the scope may trade again."""
    fingerprint = f"trading_halted:{venue}:{event.scope}"
    if not event.halted:
        return Signal(fingerprint, raised=False)
    return Signal(
        fingerprint,
        raised=True,
        kind="trading_halted",
        severity="critical",
        title=f"{event.scope} is halted on {venue}",
        detail=f"{event.reason} (by {event.by})",
        evidence={"scope": event.scope, "by": event.by, "reason": event.reason, "version": event.version},
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


def of_lost_stop(venue: str, symbol: str, event: ev.ConditionalEnded) -> Signal:
    """A position stands without the stop that was to close it; another stop in the instrument clears it."""
    return Signal(
        f"protection_lost:{venue}:{symbol}",
        raised=True,
        kind="protection_lost",
        severity="critical",
        title=f"The position in {symbol} on {venue} has lost its stop",
        detail=f"{event.client_id} ended: {event.detail}. Close the position, or have another stop held.",
        evidence={"client_id": event.client_id, "symbol": symbol, "status": event.status.value},
    )


def of_held_stop(venue: str, symbol: str) -> Signal:
    """A stop is held again."""
    return Signal(f"protection_lost:{venue}:{symbol}", raised=False)


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

"""Binance spot's answers and execution reports, read into the engine's events without a float in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from workers.adapters.venue import VenueOrder, VenueTrade
from workers.engine.events import JournalEvent, OrderAccepted, OrderEnded, OrderFilled, OrderRejected
from workers.engine.instruments import Instrument, atoms
from workers.engine.vocabulary import OrderStatus, Side

MS: Final = 1_000_000
Payload = Mapping[str, Any]

STATUSES: Final = {
    "NEW": OrderStatus.WORKING,
    "PENDING_NEW": OrderStatus.WORKING,
    "PENDING_CANCEL": OrderStatus.WORKING,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
ENDED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED})


def side_of(word: str) -> Side:
    """Binance's BUY and SELL; KeyError names anything else."""
    return Side[word]


def order_from(payload: Payload, instrument: Instrument) -> VenueOrder:
    """An answer to an order query."""
    return VenueOrder(
        client_id=payload["clientOrderId"],
        venue_order_id=str(payload["orderId"]),
        symbol=payload["symbol"],
        side=side_of(payload["side"]),
        status=STATUSES[payload["status"]],
        lots=instrument.lots(payload["origQty"]),
        filled=instrument.lots(payload["executedQty"]),
    )


def trade_from(payload: Payload, instrument: Instrument) -> VenueTrade:
    """One line of ``myTrades``."""
    return VenueTrade(
        trade_id=int(payload["id"]),
        venue_order_id=str(payload["orderId"]),
        symbol=payload["symbol"],
        side=Side.BUY if payload["isBuyer"] else Side.SELL,
        lots=instrument.lots(payload["qty"]),
        price=instrument.ticks(payload["price"]),
        fee=atoms(payload["commission"], payload["commissionAsset"]),
        fee_asset=payload["commissionAsset"],
        maker=bool(payload["isMaker"]),
        ts_event=int(payload["time"]) * MS,
    )


def fill_of(trade: VenueTrade, client_id: str, ts: int) -> OrderFilled:
    """A trade of ours as the event that books it."""
    return OrderFilled(
        ts=ts,
        client_id=client_id,
        trade_id=trade.trade_id,
        symbol=trade.symbol,
        side=trade.side,
        lots=trade.lots,
        price=trade.price,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        maker=trade.maker,
        ts_event=trade.ts_event,
    )


def submit_reports(payload: Payload, instrument: Instrument, ts: int) -> Iterator[JournalEvent]:
    """What a successful order POST (``newOrderRespType=FULL``) tells; ``ts`` is our clock in ns."""
    client_id = payload["clientOrderId"]
    yield OrderAccepted(ts=ts, client_id=client_id, venue_order_id=str(payload["orderId"]))
    for fill in payload.get("fills", ()):
        yield OrderFilled(
            ts=ts,
            client_id=client_id,
            trade_id=int(fill["tradeId"]),
            symbol=payload["symbol"],
            side=side_of(payload["side"]),
            lots=instrument.lots(fill["qty"]),
            price=instrument.ticks(fill["price"]),
            fee=atoms(fill["commission"], fill["commissionAsset"]),
            fee_asset=fill["commissionAsset"],
            maker=False,
            ts_event=int(payload["transactTime"]) * MS,
        )
    status = STATUSES[payload["status"]]
    if status in ENDED:
        yield OrderEnded(ts=ts, client_id=client_id, status=status, detail="at entry")


def execution_reports(payload: Payload, instrument: Instrument, ts: int) -> Iterator[JournalEvent]:
    """What one ``executionReport`` of the user data stream tells about one order."""
    kind = payload["x"]
    client_id = payload["C"] if kind == "CANCELED" and payload.get("C") else payload["c"]
    if kind == "NEW":
        yield OrderAccepted(ts=ts, client_id=client_id, venue_order_id=str(payload["i"]))
    elif kind == "TRADE":
        yield OrderFilled(
            ts=ts,
            client_id=client_id,
            trade_id=int(payload["t"]),
            symbol=payload["s"],
            side=side_of(payload["S"]),
            lots=instrument.lots(payload["l"]),
            price=instrument.ticks(payload["L"]),
            fee=atoms(payload["n"] or Decimal(0), payload["N"] or instrument.quote),
            fee_asset=payload["N"] or instrument.quote,
            maker=bool(payload["m"]),
            ts_event=int(payload["T"]) * MS,
        )
    elif kind == "REJECTED":
        yield OrderRejected(ts=ts, client_id=client_id, code=str(payload["r"]), message="rejected by the venue")
    elif STATUSES.get(payload["X"]) in ENDED:
        yield OrderEnded(ts=ts, client_id=client_id, status=STATUSES[payload["X"]], detail=f"{kind} by the venue")

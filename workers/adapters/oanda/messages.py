"""OANDA v20's messages, only the fields that are used. Source: OANDA v20 REST API, definitions of each endpoint."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from workers.engine.instruments import GridError, Instrument
from workers.engine.vocabulary import OrderStatus


class InstrumentInfo(msgspec.Struct):
    name: str
    type: str
    display_precision: int = msgspec.field(name="displayPrecision")
    units_precision: int = msgspec.field(name="tradeUnitsPrecision")
    smallest: str = msgspec.field(name="minimumTradeSize")
    largest: str = msgspec.field(name="maximumOrderUnits")


class Instruments(msgspec.Struct):
    instruments: list[InstrumentInfo]


class Extensions(msgspec.Struct):
    id: str = ""


class Order(msgspec.Struct):
    id: str
    state: str
    instrument: str = ""
    units: str = "0"
    extensions: Extensions = msgspec.field(name="clientExtensions", default_factory=Extensions)


class OneOrder(msgspec.Struct):
    order: Order


class Orders(msgspec.Struct):
    orders: list[Order]


class TradeChange(msgspec.Struct):
    """What a fill did to one of the account's trades; ``price`` is that of the opening for an opened one alone."""

    trade_id: str = msgspec.field(name="tradeID")
    units: str
    price: str = "0"


class PositionFinancing(msgspec.Struct):
    instrument: str
    financing: str = "0"


class Transaction(msgspec.Struct):
    """The union of an order's creation, fill, cancel and reject, and of the financing of a day."""

    id: str
    type: str
    time: str = ""
    order_id: str = msgspec.field(name="orderID", default="")
    instrument: str = ""
    units: str = "0"
    price: str = "0"
    commission: str = "0"
    pl: str = "0"
    financing: str = "0"
    guarantee: str = msgspec.field(name="guaranteedExecutionFee", default="0")
    opened: TradeChange | None = msgspec.field(name="tradeOpened", default=None)
    closed: list[TradeChange] = msgspec.field(name="tradesClosed", default_factory=list)
    reduced: TradeChange | None = msgspec.field(name="tradeReduced", default=None)
    financed: list[PositionFinancing] = msgspec.field(name="positionFinancings", default_factory=list)
    reason: str = ""
    reject_reason: str = msgspec.field(name="rejectReason", default="")


class Created(msgspec.Struct):
    """Answer to an order."""

    created: Transaction = msgspec.field(name="orderCreateTransaction")
    filled: Transaction | None = msgspec.field(name="orderFillTransaction", default=None)
    cancelled: Transaction | None = msgspec.field(name="orderCancelTransaction", default=None)


class Transactions(msgspec.Struct):
    transactions: list[Transaction]
    last: str = msgspec.field(name="lastTransactionID", default="0")


class Side(msgspec.Struct):
    units: str = "0"


class Position(msgspec.Struct):
    instrument: str
    long: Side
    short: Side


class Positions(msgspec.Struct):
    positions: list[Position]


class OpenTrade(msgspec.Struct):
    """One trade of the account, open or closed; ``price`` is what it was opened at."""

    price: str
    instrument: str = ""
    units: str = msgspec.field(name="currentUnits", default="0")


class OneTrade(msgspec.Struct):
    trade: OpenTrade


class Account(msgspec.Struct):
    currency: str
    balance: str
    trades: list[OpenTrade] = []
    last: str = msgspec.field(name="lastTransactionID", default="0")


class Summary(msgspec.Struct):
    account: Account


class PriceBucket(msgspec.Struct):
    price: str
    liquidity: Decimal = Decimal(0)


class Price(msgspec.Struct):
    """A line of the pricing stream; a HEARTBEAT has only type and time."""

    type: str
    time: str
    instrument: str = ""
    tradeable: bool = True
    bids: list[PriceBucket] = []
    asks: list[PriceBucket] = []


class Prices(msgspec.Struct):
    """Answer to a request for prices, each as the stream would tell it."""

    prices: list[msgspec.Raw]


class Refusal(msgspec.Struct):
    code: str = msgspec.field(name="errorCode", default="")
    message: str = msgspec.field(name="errorMessage", default="")
    rejected: dict[str, Any] = msgspec.field(name="orderRejectTransaction", default_factory=dict)


STATES: Final = {
    "PENDING": OrderStatus.WORKING,
    "TRIGGERED": OrderStatus.WORKING,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
}


def instrument_of(info: InstrumentInfo, *, venue: str) -> Instrument:
    """One instrument; OANDA takes its fee in the spread. GridError for one that the engine cannot represent."""
    base, mark, quote = info.name.partition("_")
    if not mark:
        raise GridError(f"expected an instrument like EUR_USD, was {info.name!r} ({venue})")
    lot = Decimal(1).scaleb(-info.units_precision)
    return Instrument(
        venue=venue,
        symbol=info.name,
        base=base,
        quote=quote,
        tick=Decimal(1).scaleb(-info.display_precision),
        lot=lot,
        min_lots=max(1, -int(-Decimal(info.smallest) // lot)),
        max_lots=int(Decimal(info.largest) // lot),
        min_notional=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )

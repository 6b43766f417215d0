"""What a market source yields, and the numbers of the wire.

Prices and quantities stay the strings that the market sent, so that what is relayed is what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from workers.engine.events import Level
from workers.engine.instruments import GridError, Instrument
from workers.live.paper_venue.config import MarketKind

StrLevel = tuple[str, str]
"""(price, quantity); a quantity of zero deletes the level."""

_UNIT_DECIMALS = 8


class BookFrame(msgspec.Struct, gc=False):
    """The whole book."""

    symbol: str
    last_id: int
    bids: Sequence[StrLevel]
    asks: Sequence[StrLevel]


class DepthFrame(msgspec.Struct, gc=False):
    """Changed levels; ids are inclusive."""

    symbol: str
    first_id: int
    last_id: int
    bids: Sequence[StrLevel]
    asks: Sequence[StrLevel]


class TopFrame(msgspec.Struct, gc=False):
    """Best bid and offer."""

    symbol: str
    update_id: int
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str


class TradeFrame(msgspec.Struct, gc=False):
    """One public trade; ``age_ms`` is how long before its event time it happened."""

    symbol: str
    trade_id: int
    price: str
    qty: str
    buyer_maker: bool
    age_ms: int = 0


Frame = BookFrame | DepthFrame | TopFrame | TradeFrame


class Session(msgspec.Struct):
    """One pass of a source: frames with the ns since its start, in order. Its first book opens each instrument."""

    duration_ns: int
    frames: Iterator[tuple[int, Frame]]


class Played(Protocol):
    """What is known of a market before it is played."""

    kind: MarketKind
    label: str
    bar_interval: str
    instruments: tuple[Instrument, ...]


class MarketSource(Played, Protocol):
    """Where a replayed market comes from."""

    def session(self, number: int, history_from_ns: int) -> Session:
        """The ``number``-th pass, counted from 1; frames before ``history_from_ns`` may be left out."""
        ...


class Grid:
    """Fast exact conversion between the wire's strings and one instrument's ticks and lots."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._tick = int(instrument.tick.scaleb(_UNIT_DECIMALS))
        self._lot = int(instrument.lot.scaleb(_UNIT_DECIMALS))

    def ticks(self, price: str) -> int:
        """Price as ticks; GridError off the grid."""
        ticks, rest = divmod(units(price), self._tick)
        if rest:
            raise GridError(f"expected price on a tick of {self.instrument.tick}, was {price}")
        return ticks

    def lots(self, quantity: str) -> int:
        """Whole lots in a displayed quantity: dust below a lot cannot be traded."""
        return units(quantity) // self._lot

    def levels(self, levels: Sequence[StrLevel]) -> tuple[Level, ...]:
        """Levels as ticks and lots."""
        return tuple((self.ticks(price), self.lots(quantity)) for price, quantity in levels)

    def whole(self, levels: Sequence[StrLevel]) -> Sequence[StrLevel]:
        """The levels without dust: what is below a lot cannot be traded, and is not shown."""
        if not any(units(qty) % self._lot for _, qty in levels):
            return levels
        return [(price, self.quantity(self.lots(qty))) for price, qty in levels]

    def price(self, ticks: int) -> str:
        """Ticks as the wire's string."""
        return fixed(self.instrument.price(ticks))

    def quantity(self, lots: int) -> str:
        """Lots as the wire's string."""
        return fixed(self.instrument.quantity(lots))


def units(number: str) -> int:
    """A decimal string as an integer of 1e-8; GridError when it is not one."""
    whole, _, fraction = number.partition(".")
    if len(fraction) != _UNIT_DECIMALS:
        kept, cut = fraction[:_UNIT_DECIMALS].ljust(_UNIT_DECIMALS, "0"), fraction[_UNIT_DECIMALS:]
        if cut.strip("0"):
            raise GridError(f"expected at most {_UNIT_DECIMALS} decimals, was {number}")
        fraction = kept
    try:
        return int(whole + fraction)
    except ValueError:
        raise GridError(f"expected a decimal number, was {number!r}") from None


def fixed(value: Decimal) -> str:
    """A decimal with the eight decimals of the wire."""
    return f"{value:.8f}"

"""Closed trades out of executions: from flat to flat, per instrument.

A remainder below one lot, which a fee taken in the base asset leaves, counts as flat. Prices are averages weighted by
quantity. Profit is what the cash gained over the trade, fees included, with the remainder at its cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from workers.engine.events import OrderFilled
from workers.engine.instruments import MONEY_PER_ATOM, Instrument


class ClosedTrade(NamedTuple):
    """One round trip. ``side`` 1 long, -1 short; times in ns, lots, money units, prices in (fractions of) ticks."""

    symbol: str
    side: int
    entry_ns: int
    exit_ns: int
    lots: int
    entry_price: float
    exit_price: float
    pnl: int
    fees: int
    fills: int


class _Open:
    """A trade under way."""

    __slots__ = ("bought", "bought_value", "cash", "entry_ns", "fees", "fills", "side", "sold", "sold_value")

    def __init__(self, side: int, entry_ns: int) -> None:
        self.side = side
        self.entry_ns = entry_ns
        self.bought = self.bought_value = self.sold = self.sold_value = 0
        self.cash = self.fees = self.fills = 0


def closed_trades(fills: Iterable[OrderFilled], instruments: Mapping[str, Instrument]) -> list[ClosedTrade]:
    """Trades that were closed, in order of their ends. A fill that turns the position over ends one trade only."""
    held: dict[str, int] = dict.fromkeys(instruments, 0)
    under_way: dict[str, _Open] = {}
    done: list[ClosedTrade] = []
    for fill in fills:
        instrument = instruments[fill.symbol]
        trade = under_way.get(fill.symbol)
        if trade is None:
            trade = under_way[fill.symbol] = _Open(int(fill.side), fill.ts_event)
        held[fill.symbol] += _book(trade, fill, instrument)
        if abs(held[fill.symbol]) < instrument.lot_atoms:
            done.append(_close(fill, trade, held[fill.symbol], instrument))
            del under_way[fill.symbol]
    return done


def _book(trade: _Open, fill: OrderFilled, instrument: Instrument) -> int:
    """Add the fill to the trade; return the change of the position in atoms."""
    value, atoms = fill.price * fill.lots, fill.lots * instrument.lot_atoms
    trade.fills += 1
    if fill.side > 0:
        trade.bought += fill.lots
        trade.bought_value += value
    else:
        trade.sold += fill.lots
        trade.sold_value += value
    trade.cash -= int(fill.side) * value * instrument.lot_value
    change = int(fill.side) * atoms
    if fill.fee_asset == instrument.base:
        trade.fees += fill.fee * fill.price * instrument.value_factor
        change -= fill.fee
    else:
        trade.fees += fill.fee * MONEY_PER_ATOM
        trade.cash -= fill.fee * MONEY_PER_ATOM
    return change


def _close(fill: OrderFilled, trade: _Open, dust: int, instrument: Instrument) -> ClosedTrade:
    into, out = (trade.bought, trade.bought_value), (trade.sold, trade.sold_value)
    (entry, entry_value), (leave, leave_value) = (into, out) if trade.side > 0 else (out, into)
    entry_price = entry_value / entry
    worth = round(dust * entry_price * instrument.value_factor)
    return ClosedTrade(
        symbol=fill.symbol,
        side=trade.side,
        entry_ns=trade.entry_ns,
        exit_ns=fill.ts_event,
        lots=entry,
        entry_price=entry_price,
        exit_price=leave_value / leave if leave else entry_price,
        pnl=trade.cash + worth,
        fees=trade.fees,
        fills=trade.fills,
    )

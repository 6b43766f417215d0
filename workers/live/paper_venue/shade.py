"""The replayed market as another venue shows it: a share of the sizes, at prices of its own.

Bids move by ``offset - widen`` ticks and offers by ``offset + widen``, so that a book which was not crossed never
becomes crossed. A trade moves with the side that was hit, so that it stays where the venue shows its book.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workers.engine.instruments import Instrument
from workers.live.paper_venue.profiles import Profile
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Frame, StrLevel, TopFrame, TradeFrame, units

_UNIT = 10**8


def text(count: int) -> str:
    """An integer of 1e-8, not negative, with the eight decimals of the wire."""
    return f"{count // _UNIT}.{count % _UNIT:08d}"


class _Shade:
    """One instrument's numbers, in integers of 1e-8."""

    def __init__(self, instrument: Instrument, profile: Profile) -> None:
        tick = int(instrument.tick * _UNIT)
        self.lot = int(instrument.lot * _UNIT)
        self.share = profile.share_pct
        self.bid = (profile.offset_ticks - profile.widen_ticks) * tick
        self.ask = (profile.offset_ticks + profile.widen_ticks) * tick

    def size(self, quantity: str) -> str:
        """The share of what can be traded of a displayed quantity, rounded up to a lot."""
        lots = units(quantity) // self.lot
        return text(-(-lots * self.share // 100) * self.lot)

    def levels(self, levels: Iterable[StrLevel], move: int) -> Sequence[StrLevel]:
        """The levels that have a price here."""
        moved = ((units(price) + move, qty) for price, qty in levels)
        return [(text(price), self.size(qty)) for price, qty in moved if price > 0]


class Shader:
    """Turns frames of the replayed market into those of one venue."""

    def __init__(self, instruments: Iterable[Instrument], profile: Profile) -> None:
        self._shades = {i.symbol: _Shade(i, profile) for i in instruments}

    def frame(self, frame: Frame) -> Frame | None:
        """The frame as this venue has it, with the same ids; None when there is nothing of it here."""
        shade = self._shades[frame.symbol]
        match frame:
            case TopFrame():
                return self._top(shade, frame)
            case TradeFrame():
                return self._trade(shade, frame)
            case DepthFrame():
                bids, asks = shade.levels(frame.bids, shade.bid), shade.levels(frame.asks, shade.ask)
                return DepthFrame(frame.symbol, frame.first_id, frame.last_id, bids, asks)
            case BookFrame():
                bids, asks = shade.levels(frame.bids, shade.bid), shade.levels(frame.asks, shade.ask)
                return BookFrame(frame.symbol, frame.last_id, bids, asks)

    def _top(self, shade: _Shade, frame: TopFrame) -> TopFrame | None:
        bid, ask = units(frame.bid) + shade.bid, units(frame.ask) + shade.ask
        if bid <= 0:
            return None
        bid_qty, ask_qty = shade.size(frame.bid_qty), shade.size(frame.ask_qty)
        return TopFrame(frame.symbol, frame.update_id, text(bid), bid_qty, text(ask), ask_qty)

    def _trade(self, shade: _Shade, frame: TradeFrame) -> TradeFrame | None:
        price = units(frame.price) + (shade.bid if frame.buyer_maker else shade.ask)
        lots = units(frame.qty) // shade.lot * shade.share // 100
        if price <= 0 or lots <= 0:
            return None
        qty = text(lots * shade.lot)
        return TradeFrame(frame.symbol, frame.trade_id, text(price), qty, frame.buyer_maker, frame.age_ms)

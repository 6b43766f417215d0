"""A price path drawn as an order book: the same few levels around a price, kept on the source's side of the wire."""

from __future__ import annotations

from collections.abc import Iterable

from workers.engine.events import Level
from workers.engine.instruments import Instrument
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Grid, StrLevel, TopFrame, TradeFrame


class DrawnBook:
    """One instrument's book around a path; frames carry the ids that the caller gives."""

    def __init__(self, instrument: Instrument, *, levels: int) -> None:
        self.grid = Grid(instrument)
        self._symbol = instrument.symbol
        self._levels = levels
        self._shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._wanted: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._tops: tuple[set[int], set[int]] = (set(), set())
        self._depth_id = 0
        self.bid = 0
        self.ask = 0

    def draw(self, bid: int, ask: int, step: int, lots: int) -> None:
        """Put the best prices at ``bid`` and ``ask`` ticks, with deeper levels ``step`` ticks apart and growing."""
        self.bid, self.ask = bid, ask
        self._wanted = (
            {bid - n * step: lots * (n + 1) for n in range(self._levels) if bid - n * step > 0},
            {ask + n * step: lots * (n + 1) for n in range(self._levels)},
        )

    def book(self, update_id: int) -> BookFrame:
        """The whole book."""
        self._show(update_id)
        bids, asks = (self._texts(side.items()) for side in self._wanted)
        return BookFrame(self._symbol, update_id, bids, asks)

    def depth(self, update_id: int) -> DepthFrame:
        """What has changed since the last book or depth frame, be it for a moment that only a top frame told of."""
        bids = self._changed(0, min(self._tops[0], default=self.bid), 1)
        asks = self._changed(1, max(self._tops[1], default=self.ask), -1)
        frame = DepthFrame(self._symbol, self._depth_id + 1, update_id, self._texts(bids), self._texts(asks))
        self._show(update_id)
        return frame

    def _changed(self, side: int, worst: int, sign: int) -> list[Level]:
        """Levels of one side that differ, were best for a moment, or were gone while ``worst`` was the best."""
        old, new, tops = self._shown[side], self._wanted[side], self._tops[side]
        differ = {price for price in old.keys() | new.keys() if old.get(price) != new.get(price)}
        came_back = {price for price in new if (price - worst) * sign > 0}
        return [(price, new.get(price, 0)) for price in differ | tops | came_back]

    def _show(self, update_id: int) -> None:
        self._shown, self._depth_id = self._wanted, update_id
        self._tops = (set(), set())

    def top(self, update_id: int) -> TopFrame:
        """Best bid and offer."""
        grid, (bids, asks) = self.grid, self._wanted
        self._tops[0].add(self.bid)
        self._tops[1].add(self.ask)
        bid, ask = (grid.price(self.bid), grid.quantity(bids[self.bid])), (grid.price(self.ask), asks[self.ask])
        return TopFrame(self._symbol, update_id, bid[0], bid[1], ask[0], grid.quantity(ask[1]))

    def trade(self, trade_id: int, lots: int, *, buy: bool) -> TradeFrame:
        """A trade at the touch: a buyer lifts the offer, a seller hits the bid."""
        price = self.grid.price(self.ask if buy else self.bid)
        return TradeFrame(self._symbol, trade_id, price, self.grid.quantity(lots), buyer_maker=not buy)

    def _texts(self, levels: Iterable[Level]) -> list[StrLevel]:
        return [(self.grid.price(price), self.grid.quantity(lots)) for price, lots in levels]

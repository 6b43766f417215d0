"""The venue's market: books, trades and candlesticks as they are shown, and the matching engine beside them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from workers.engine.events import BookDelta, BookSnapshot, TopOfBook, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Reports
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import Side
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.klines import INTERVALS_MS, Print, Series
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Frame, Grid, StrLevel, TopFrame, TradeFrame

IDS_PER_SESSION = 100_000_000
"""Update and trade ids are raised by this much per session, so that they rise over passes and restarts."""

_MS = 1_000_000
_NOTHING = "0.00000000"
encode = msgspec.json.encode


class Listing:
    """What is shown of one instrument."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.grid = Grid(instrument)
        self.stream = instrument.symbol.lower()
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.last_id = 0
        self.top: TopFrame | None = None
        self.last_price = 0
        self.last_trade_ms = 0
        self.trades: deque[dict[str, Any]] = deque(maxlen=1000)
        self.series = {name: Series(ms) for name, ms in INTERVALS_MS.items()}

    def load(self, frame: BookFrame) -> None:
        """Take a whole book."""
        self.bids = dict(self.grid.whole(frame.bids))
        self.asks = dict(self.grid.whole(frame.asks))
        self.last_id = frame.last_id
        self.top = None

    def change(self, frame: DepthFrame) -> None:
        """Take changed levels."""
        frame.bids, frame.asks = self.grid.whole(frame.bids), self.grid.whole(frame.asks)
        for shown, levels in ((self.bids, frame.bids), (self.asks, frame.asks)):
            for price, qty in levels:
                if qty == _NOTHING or not float(qty):
                    shown.pop(price, None)
                else:
                    shown[price] = qty
        self.last_id = frame.last_id

    def depth(self, limit: int) -> tuple[list[StrLevel], list[StrLevel]]:
        """The best ``limit`` levels of both sides."""
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:limit]
        return bids, sorted(self.asks.items(), key=lambda level: float(level[0]))[:limit]

    def clear(self) -> None:
        """Forget the book."""
        self.bids, self.asks, self.top = {}, {}, None


class Market:
    """Applies frames to what is shown and to the engine, and publishes them with the venue's own time and ids."""

    def __init__(
        self,
        engine: MatchingEngine,
        instruments: Iterable[Instrument],
        *,
        hub: Hub,
        on_reports: Callable[[Sequence[Reports]], object],
    ) -> None:
        self.engine = engine
        self.hub = hub
        self.listings = {i.symbol: Listing(i) for i in instruments}
        self._on_reports = on_reports
        self.session_id = 0
        self.open = False
        self.opened_ms = 0
        self.closes_ms = 0
        self.events = 0
        self.number = 0
        """Which pass of the market this is."""
        self.moment = 0
        """Market time of the newest frame, ns since the pass began."""
        self._offset = 0

    # --- sessions

    def begin(self, session_id: int, opened_ms: int, closes_ms: int) -> None:
        """Start a session that is still closed to orders; its ids are above those of every earlier one."""
        self.session_id, self.opened_ms, self.closes_ms = session_id, opened_ms, closes_ms
        self._offset = session_id * IDS_PER_SESSION

    def start_trading(self, now: int) -> None:
        """Give the books to the engine and open."""
        self.open = True
        for symbol, listing in self.listings.items():
            self._snapshot(symbol, listing, now)
        self.announce(now)

    def stop_trading(self, now: int) -> None:
        """Session break: resting orders expire, books are gone."""
        self.open = False
        for symbol, listing in self.listings.items():
            self._report(self.engine.close(symbol, now))
            listing.clear()
        self.announce(now)

    def session_status(self, symbol: str, now: int) -> bytes:
        """The session's state as it goes over the wire."""
        return encode(
            {
                "e": "sessionStatus",
                "E": now // _MS,
                "s": symbol,
                "status": "OPEN" if self.open else "BREAK",
                "sessionId": self.session_id,
                "openedAt": self.opened_ms,
                "closesAt": self.closes_ms,
            }
        )

    def move_close(self, closes_ms: int, now: int) -> None:
        """The session will end at another time."""
        self.closes_ms = closes_ms
        self.announce(now)

    def announce(self, now: int) -> None:
        """Tell the session's state on every instrument's stream."""
        for symbol, listing in self.listings.items():
            self.hub.publish(f"{listing.stream}@sessionStatus", self.session_status(symbol, now))

    # --- frames

    def show(self, frame: Frame, at_ms: int) -> None:
        """Take a frame into books and candlesticks alone: history before the session opens."""
        listing = self.listings[frame.symbol]
        match frame:
            case TradeFrame():
                self._show_trade(listing, frame, at_ms - frame.age_ms)
            case TopFrame():
                listing.top = frame
            case DepthFrame():
                listing.change(frame)
            case BookFrame():
                listing.load(frame)

    def apply(self, frame: Frame, now: int) -> None:
        """Take a frame at ``now`` ns: match, show, publish."""
        self.events += 1
        listing = self.listings[frame.symbol]
        match frame:
            case TopFrame():
                self._top(listing, frame, now)
            case TradeFrame():
                self._trade(listing, frame, now)
            case DepthFrame():
                self._depth(listing, frame, now)
            case BookFrame():
                listing.load(frame)
                self._snapshot(frame.symbol, listing, now)

    def _report(self, reports: Sequence[Reports]) -> None:
        if reports:
            self._on_reports(reports)

    def _snapshot(self, symbol: str, listing: Listing, now: int) -> None:
        grid = listing.grid
        event = BookSnapshot(
            symbol=symbol,
            ts_event=now,
            ts_recv=now,
            last_id=listing.last_id,
            bids=grid.levels(list(listing.bids.items())),
            asks=grid.levels(list(listing.asks.items())),
        )
        self._report(self.engine.on_snapshot(event))
        if listing.top is not None and listing.top.update_id > listing.last_id:
            self._match_top(listing, listing.top, now)

    def _match_top(self, listing: Listing, frame: TopFrame, now: int) -> None:
        grid = listing.grid
        event = TopOfBook(
            symbol=frame.symbol,
            ts_event=now,
            ts_recv=now,
            update_id=frame.update_id,
            bid=grid.ticks(frame.bid),
            bid_lots=grid.lots(frame.bid_qty),
            ask=grid.ticks(frame.ask),
            ask_lots=grid.lots(frame.ask_qty),
        )
        self._report(self.engine.on_top(event))

    def _top(self, listing: Listing, frame: TopFrame, now: int) -> None:
        listing.top = frame
        self._match_top(listing, frame, now)
        stream = f"{listing.stream}@bookTicker"
        if self.hub.wants(stream):
            self.hub.publish(stream, encode(self._book_ticker(frame)))

    def _book_ticker(self, frame: TopFrame) -> dict[str, Any]:
        return {
            "u": frame.update_id + self._offset,
            "s": frame.symbol,
            "b": frame.bid,
            "B": frame.bid_qty,
            "a": frame.ask,
            "A": frame.ask_qty,
        }

    def _match_depth(self, listing: Listing, frame: DepthFrame, now: int) -> None:
        listing.change(frame)
        grid = listing.grid
        event = BookDelta(
            symbol=frame.symbol,
            ts_event=now,
            ts_recv=now,
            first_id=frame.first_id,
            last_id=frame.last_id,
            bids=grid.levels(frame.bids),
            asks=grid.levels(frame.asks),
        )
        self._report(self.engine.on_delta(event))

    def _depth(self, listing: Listing, frame: DepthFrame, now: int) -> None:
        self._match_depth(listing, frame, now)
        for stream in (f"{listing.stream}@depth@100ms", f"{listing.stream}@depth"):
            if self.hub.wants(stream):
                self.hub.publish(stream, encode(self._depth_update(frame, now)))

    def _depth_update(self, frame: DepthFrame, now: int) -> dict[str, Any]:
        return {
            "e": "depthUpdate",
            "E": now // _MS,
            "s": frame.symbol,
            "U": frame.first_id + self._offset,
            "u": frame.last_id + self._offset,
            "b": frame.bids,
            "a": frame.asks,
        }

    def _trade(self, listing: Listing, frame: TradeFrame, now: int) -> None:
        at_ms = self._show_trade(listing, frame, now // _MS - frame.age_ms)
        event = Trade(
            symbol=frame.symbol,
            ts_event=now,
            ts_recv=now,
            trade_id=frame.trade_id + self._offset,
            price=listing.last_price,
            lots=listing.grid.lots(frame.qty),
            aggressor=Side.SELL if frame.buyer_maker else Side.BUY,
        )
        self._report(self.engine.on_trade(event))
        stream = f"{listing.stream}@trade"
        if self.hub.wants(stream):
            self.hub.publish(stream, encode(self._trade_event(frame, at_ms, now)))

    def _trade_event(self, frame: TradeFrame, at_ms: int, now: int) -> dict[str, Any]:
        return {
            "e": "trade",
            "E": now // _MS,
            "s": frame.symbol,
            "t": frame.trade_id + self._offset,
            "p": frame.price,
            "q": frame.qty,
            "T": at_ms,
            "m": frame.buyer_maker,
            "M": True,
        }

    def _show_trade(self, listing: Listing, frame: TradeFrame, at_ms: int) -> int:
        """Count a trade into candlesticks; returns its time, which never runs backwards."""
        at_ms = listing.last_trade_ms = max(at_ms, listing.last_trade_ms)
        price, lots = listing.grid.ticks(frame.price), listing.grid.lots(frame.qty)
        trade_id = frame.trade_id + self._offset
        money = price * lots * listing.instrument.lot_value
        trade = Print(at_ms, trade_id, price, lots, money, frame.buyer_maker)
        for series in listing.series.values():
            series.add(trade)
        listing.last_price = price
        listing.trades.append(
            {
                "id": trade_id,
                "price": frame.price,
                "qty": frame.qty,
                "time": at_ms,
                "isBuyerMaker": frame.buyer_maker,
                "isBestMatch": True,
            }
        )
        return at_ms

    def last_update_id(self, symbol: str) -> int:
        """Id of the newest depth change that is in the shown book."""
        return self.listings[symbol].last_id + self._offset

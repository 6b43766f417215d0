"""What is known of one instrument's market: events in, believed events out. Pure; time is an argument.

How to drive it (live worker, replay, tests)::

    view = MarketView(instrument, ViewConfig(bar_interval_ns=1_000_000_000))
    for out in view.on_event(event, now_ns):    # every market event of this symbol, in order of arrival
        ...                                     # TopOfBook and FeedStatus (changed), Trade (believed), Bar (closed)
    for out in view.on_time(now_ns):            # a few times per bar: notices silence, closes bars without trades
        ...
    view.wants_snapshot                         # True: fetch a REST depth snapshot, pass it in as BookSnapshot
    view.state, view.top, view.mid, view.reference(now_ns), view.book, view.bars, view.session_id, view.closes_at
    view.gate.counters, view.gate.last_refusal  # refusals by reason
    view.reject(reason, detail)                 # a frame of this symbol that could not even be decoded

Events in: ``BookSnapshot``, ``BookDelta``, ``TopOfBook`` (the exchange's own best bid and ask), ``Trade``, ``Bar``
(when the view builds none itself), ``FeedStatus`` from the client: ``BREAK`` the session ended, ``LIVE`` a session is
open (with its id and end), ``CONNECTING`` or ``STALE`` the connection was lost. A break voids book, ids, spike
references, open and closed bars: nothing is compared across it. A lost connection voids book and ids; bars go on.

``FeedStatus`` out carries the state of the feed as the risk gate must see it: ``LIVE`` only while the book is in sync
and timed events prove that it is not behind. A process that was stopped and wakes reads old frames from its socket as
if they were new; a quote without a time of its own is believed only beside a timed event.

A kernel that is driven by bars alone needs no view.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from workers.engine.events import Bar, BookDelta, BookSnapshot, FeedStatus, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.bars import BarBuilder
from workers.engine.market.book import BookError, OrderBook
from workers.engine.market.quality import NS_PER_SECOND, QualityConfig, QualityGate, Rejection
from workers.engine.market.sync import DepthSync, Verdict
from workers.engine.vocabulary import FeedState

NOTHING: Final[tuple[MarketEvent, ...]] = ()


class ViewConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How one instrument is watched."""

    bar_interval_ns: int = 0
    """Length of the bars built from trades; 0 builds none."""
    bar_grace_ns: int = 100_000_000
    """How long a bar stays open for trades that arrive after its end."""
    bar_history: int = 4096
    """Closed bars kept."""
    stale_after_ns: int = 5 * NS_PER_SECOND
    """Silence after which the feed counts as STALE."""
    needs_book: bool = True
    """False for a venue without depth: best bid and ask alone make the feed LIVE."""
    shows: bool = True
    """False for a dark venue, which shows nothing: an open session makes the feed LIVE, and silence is normal."""
    quality: QualityConfig = QualityConfig()


class Reference(NamedTuple):
    """A fair price to check an order against."""

    price: int
    """Ticks, mid rounded down."""
    age_ns: int
    """Since an event last confirmed it."""
    source: str
    """``mid`` or ``close``."""


class MarketView:
    """One instrument's feed state, book, best bid and ask, trades and bars."""

    def __init__(self, instrument: Instrument, config: ViewConfig | None = None) -> None:
        config = config or ViewConfig()
        self.instrument = instrument
        self.config = config
        self.book = OrderBook()
        self.sync = DepthSync()
        self.gate = QualityGate(config.quality)
        self.bars: deque[Bar] = deque(maxlen=config.bar_history)
        self.builder = (
            BarBuilder(instrument.symbol, config.bar_interval_ns, config.bar_grace_ns)
            if config.bar_interval_ns
            else None
        )
        self.state = FeedState.CONNECTING
        self.detail = ""
        self.session_id = 0
        self.closes_at = 0
        self.top: TopOfBook | None = None
        self.last_trade: Trade | None = None
        self.resyncs = 0
        self._ticker: TopOfBook | None = None
        self._top_id = 0
        self._confirmed_ns = 0
        self._heard_ns = 0
        self._proven_ns = 0
        """Our time when an event last proved that the feed is not behind."""
        self._max_lag_ns = config.quality.max_lag_ns
        self._ticked_ns = 0
        """Our time when ``on_time`` was last called, 0 when it is not known."""

    @property
    def wants_snapshot(self) -> bool:
        """True while depth updates wait for a snapshot."""
        return self.sync.wants_snapshot

    @property
    def mid(self) -> int:
        """Mid price in ticks, rounded down; 0 when there is none."""
        top = self.top
        return (top.bid + top.ask) // 2 if top is not None else 0

    def reference(self, now_ns: int) -> Reference | None:
        """Mid price, or the last close where there is no quote, with its age; None before either is known."""
        if self.top is not None:
            return Reference(self.mid, now_ns - self._confirmed_ns, "mid")
        if self.bars:
            return Reference(self.bars[-1].close, now_ns - self.bars[-1].ts_recv, "close")
        return None

    def reject(self, reason: Rejection, detail: str) -> None:
        """Count a refusal that happened before this view, such as a frame that could not be decoded."""
        self.gate.reject(reason, detail)

    def on_event(self, event: MarketEvent, now_ns: int) -> Sequence[MarketEvent]:
        """Take one event; returns what follows from it, in order. Raises TypeError for what is no market event."""
        handler = self._handlers.get(type(event))
        if handler is None:
            raise TypeError(f"expected a market event, was {type(event).__name__} ({self.instrument.symbol})")
        if self.state is FeedState.BREAK and type(event) is not FeedStatus:
            self.gate.reject(Rejection.SESSION_CLOSED, f"{type(event).__name__} between sessions")
            return NOTHING
        return handler(self, event, now_ns)

    def on_time(self, now_ns: int) -> Sequence[MarketEvent]:
        """Time passed: notices silence and closes bars in which nothing happened."""
        if self.state is FeedState.BREAK:
            return NOTHING
        out: list[MarketEvent] = []
        silence = now_ns - self._heard_ns
        if self.state is FeedState.LIVE and silence > self.config.stale_after_ns and self.config.shows:
            self._enter(FeedState.STALE, f"silent for {silence / NS_PER_SECOND:.1f} s", now_ns, out)
        if self.gate.clock.known and not self._just_woke(now_ns):
            self._advance_bars(now_ns - self.gate.clock.value, now_ns, out)
        return out

    def _just_woke(self, now_ns: int) -> bool:
        """True once after a pause of our own: the trades of that time are still to be read from the socket."""
        pause_ns = now_ns - self._ticked_ns
        woke = self._ticked_ns > 0 and pause_ns > max(2 * self.config.bar_interval_ns, self.config.quality.max_lag_ns)
        self._ticked_ns = 0 if woke else now_ns
        return woke

    def _on_snapshot(self, event: BookSnapshot, now_ns: int) -> Sequence[MarketEvent]:
        pending = self.sync.on_snapshot(event)
        if pending is None:
            return NOTHING
        out: list[MarketEvent] = []
        self._heard_ns = now_ns
        try:
            self.book.load(event)
            for delta in pending:
                self.book.apply(delta)
        except BookError as exc:
            self._void(Rejection.SCHEMA, str(exc), now_ns, out)
            return out
        self._quote_from_book(event, now_ns, out)
        return out

    def _on_delta(self, event: BookDelta, now_ns: int) -> Sequence[MarketEvent]:
        if not self.gate.delta(event):
            return NOTHING
        out: list[MarketEvent] = []
        self._heard(now_ns, out)
        verdict = self.sync.on_delta(event)
        if verdict is Verdict.APPLY:
            try:
                self.book.apply(event)
            except BookError as exc:
                self._void(Rejection.SCHEMA, str(exc), now_ns, out)
                return out
            self._quote_from_book(event, now_ns, out)
        elif verdict is Verdict.GAP:
            self._lose_book(Rejection.GAP, f"update starts at {event.first_id}", now_ns, out)
        elif verdict is Verdict.OLD:
            self.gate.reject(Rejection.OUT_OF_ORDER, f"depth update {event.last_id} is older than the book")
        self._advance_bars(event.ts_event, now_ns, out)
        return out

    def _on_ticker(self, event: TopOfBook, now_ns: int) -> Sequence[MarketEvent]:
        self._heard_ns = now_ns
        if not self.gate.ticker(event):
            return NOTHING
        out: list[MarketEvent] = []
        self._ticker = event
        if self.sync.synced and self.book.last_id == event.update_id and not self._agrees(event, now_ns, out):
            return out
        fresh = self.state is FeedState.LIVE and now_ns - self._proven_ns <= self._max_lag_ns
        if event.update_id > self._top_id and (fresh or self._timely(event, now_ns)):
            self._adopt(event, now_ns, out)
        return out

    def _timely(self, quote: TopOfBook, now_ns: int) -> bool:
        """False for a quote without time while nothing timed says that the feed is not behind."""
        recent = now_ns - self._proven_ns <= self._max_lag_ns
        if recent or self.state is not FeedState.LIVE or quote.ts_event != quote.ts_recv or self._proven(now_ns):
            return True
        silence_s = (now_ns - self._proven_ns) / NS_PER_SECOND
        self.gate.reject(Rejection.STALE, f"quote {quote.update_id} without time, nothing timed for {silence_s:.1f} s")
        return False

    def _proven(self, now_ns: int) -> bool:
        return now_ns - self._proven_ns <= self._max_lag_ns or not self.config.needs_book

    def _heard(self, now_ns: int, out: list[MarketEvent]) -> None:
        """An event with the venue's time came: is the feed behind?"""
        self._heard_ns = now_ns
        if self.gate.lag_ns <= self._max_lag_ns:
            self._proven_ns = now_ns
        elif self.state is FeedState.LIVE:
            self._enter(FeedState.STALE, f"{self.gate.lag_ns / NS_PER_SECOND:.1f} s behind the venue", now_ns, out)

    def _on_trade(self, event: Trade, now_ns: int) -> Sequence[MarketEvent]:
        out: list[MarketEvent] = []
        believed = self.gate.trade(event, self.top)
        self._heard(now_ns, out)
        if believed:
            self.last_trade = believed[-1]
        builder = self.builder
        if builder is None:
            return [*out, *believed] if out else believed
        for trade in believed:
            self._advance_bars(trade.ts_event, now_ns, out)
            late = builder.late
            builder.add(trade)
            if builder.late != late:
                self.gate.reject(Rejection.LATE, f"trade {trade.trade_id} of {trade.ts_event}")
            out.append(trade)
        return out

    def _on_bar(self, event: Bar, now_ns: int) -> Sequence[MarketEvent]:
        """Bars that the venue made are taken as they are, unless the view makes its own."""
        if self.builder is not None:
            return NOTHING
        self._heard_ns = now_ns
        self.bars.append(event)
        return (event,)

    def _on_status(self, event: FeedStatus, now_ns: int) -> Sequence[MarketEvent]:
        out: list[MarketEvent] = []
        if event.state is FeedState.BREAK:
            self._forget()
            self._enter(FeedState.BREAK, event.detail, now_ns, out)
            return out
        if event.state is not FeedState.LIVE:
            self._disconnect()
            if self.state is not FeedState.BREAK:
                self._enter(event.state, event.detail, now_ns, out)
            return out
        other = event.session_id != self.session_id
        if self.state is FeedState.BREAK or (other and self.session_id):
            self._forget()
            self.session_id, self.closes_at = event.session_id, event.closes_at
            self._enter(FeedState.CONNECTING, event.detail, now_ns, out)
        self.session_id, self.closes_at = event.session_id, event.closes_at
        if not self.config.shows:
            self._enter(FeedState.LIVE, event.detail, now_ns, out)
        return out

    def _quote_from_book(self, event: BookSnapshot | BookDelta, now_ns: int, out: list[MarketEvent]) -> None:
        """The book moved to ``book.last_id``: check it and, unless the exchange's own quote is newer, believe it."""
        book = self.book
        bid, ask = book.bids.best(), book.asks.best()
        if not bid or not ask:
            self._one_sided(now_ns, out)
            return
        top = TopOfBook(
            symbol=event.symbol,
            ts_event=event.ts_event,
            ts_recv=event.ts_recv,
            update_id=book.last_id,
            bid=bid,
            bid_lots=book.bids.lots[bid],
            ask=ask,
            ask_lots=book.asks.lots[ask],
        )
        if bid >= ask:
            self._void(Rejection.CROSSED, f"book bid {bid} at or above ask {ask}", now_ns, out)
            return
        ticker = self._ticker
        if ticker is not None and ticker.update_id == top.update_id and not self._agrees(ticker, now_ns, out):
            return
        if top.update_id >= self._top_id:
            self._adopt(top, now_ns, out)
        elif self.state is not FeedState.LIVE:
            self._go_live(now_ns, out)

    def _one_sided(self, now_ns: int, out: list[MarketEvent]) -> None:
        """A book without bids or without asks is in order, but there is no price to trade against."""
        self.top = None
        self._top_id = self.book.last_id
        if self.state is FeedState.LIVE:
            self._enter(FeedState.STALE, "book has no bids or no asks", now_ns, out)

    def _agrees(self, ticker: TopOfBook, now_ns: int, out: list[MarketEvent]) -> bool:
        """Compare the book with the exchange's own best bid and ask at the same update id; a difference voids it."""
        bids, asks = self.book.bids, self.book.asks
        bid, ask = bids.best(), asks.best()
        ours = (bid, bids.lots.get(bid, 0), ask, asks.lots.get(ask, 0))
        theirs = (ticker.bid, ticker.bid_lots, ticker.ask, ticker.ask_lots)
        if ours == theirs:
            return True
        self._void(Rejection.BOOK_MISMATCH, f"book {ours}, exchange {theirs} at {ticker.update_id}", now_ns, out)
        return False

    def _adopt(self, top: TopOfBook, now_ns: int, out: list[MarketEvent]) -> None:
        self._top_id = top.update_id
        believed = self.gate.settle_top(top)
        if believed is None:
            return
        self._confirmed_ns = believed.ts_recv - self.gate.lag_ns
        old = self.top
        self.top = believed
        if self.state is not FeedState.LIVE:
            self._go_live(now_ns, out)
        if (
            old is None
            or old.bid != believed.bid
            or old.ask != believed.ask
            or old.bid_lots != believed.bid_lots
            or old.ask_lots != believed.ask_lots
        ):
            out.append(believed)

    def _go_live(self, now_ns: int, out: list[MarketEvent]) -> None:
        in_sync = self.sync.synced or not self.config.needs_book
        if self.top is not None and in_sync and self._proven(now_ns):
            self._enter(FeedState.LIVE, "", now_ns, out)

    def _void(self, reason: Rejection, detail: str, now_ns: int, out: list[MarketEvent]) -> None:
        """The book cannot be right: wait for the next update and a fresh snapshot."""
        self.sync.reset()
        self._lose_book(reason, detail, now_ns, out)

    def _lose_book(self, reason: Rejection, detail: str, now_ns: int, out: list[MarketEvent]) -> None:
        self.gate.reject(reason, detail)
        self.resyncs += 1
        self.book.clear()
        if self.config.needs_book:
            self._enter(FeedState.STALE, f"{reason}: {detail}", now_ns, out)

    def _disconnect(self) -> None:
        self.sync.reset()
        self.book.clear()
        self.gate.reconnect()
        self._ticker = None
        self._top_id = 0
        self._proven_ns = 0

    def _forget(self) -> None:
        self._disconnect()
        self.gate.reset()
        self.top = None
        self.last_trade = None
        self.bars.clear()
        if self.builder is not None:
            self.builder.reset()

    def _advance_bars(self, event_ns: int, now_ns: int, out: list[MarketEvent]) -> None:
        builder = self.builder
        if builder is None:
            return
        closed = builder.advance(event_ns, now_ns, self.mid)
        if closed:
            self.bars.extend(closed)
            out.extend(closed)

    def _enter(self, state: FeedState, detail: str, now_ns: int, out: list[MarketEvent]) -> None:
        if state is self.state and detail == self.detail:
            return
        self.state, self.detail = state, detail
        out.append(
            FeedStatus(
                symbol=self.instrument.symbol,
                ts_event=now_ns,
                ts_recv=now_ns,
                state=state,
                detail=detail,
                session_id=self.session_id,
                closes_at=self.closes_at,
            )
        )

    _handlers: ClassVar[dict[type, Callable[[MarketView, Any, int], Sequence[MarketEvent]]]] = {
        BookSnapshot: _on_snapshot,
        BookDelta: _on_delta,
        TopOfBook: _on_ticker,
        Trade: _on_trade,
        Bar: _on_bar,
        FeedStatus: _on_status,
    }

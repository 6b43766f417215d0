"""The book rebuilt from real recordings agrees with the exchange's own best bid and ask, price and size.

The method is that of reference case book-bn-55: start from the REST snapshot, drop what it contains, apply the rest,
and compare with ``bookTicker`` wherever both carry the same update id. The recording of that case is not among the
data; these two are.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.market_events import SECOND, make_instrument, recorded_lines
from workers.adapters.binance.frames import PREFIX, FrameDecoder
from workers.engine.events import Bar, BookDelta, BookSnapshot, FeedStatus, Level, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.book import OrderBook
from workers.engine.market.sync import DepthSync, Verdict
from workers.engine.market.view import MarketView, ViewConfig
from workers.engine.vocabulary import FeedState


class Case(NamedTuple):
    """A recording and what rebuilding its book gives; counted once by a separate program over Decimals."""

    file: str
    instrument: Instrument
    dropped: int
    applied: int
    compared: int
    final_id: int


CASES = [
    Case("btcusdt_20240808.gz", make_instrument("BTCUSDT", "0.01", "0.00001"), 2, 3449, 564, 50093421584),
    Case("ethusdt_20240808.gz", make_instrument("ETHUSDT", "0.01", "0.0001"), 2, 3432, 577, 35346671849),
]


@pytest.fixture(params=CASES, ids=lambda case: case.instrument.symbol)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def path(case: Case, market_data: Path) -> Path:
    found = market_data / "recordings" / "binance-spot" / case.file
    if not found.exists():
        pytest.skip(f"no recording {found}")
    return found


def events_of(case: Case, path: Path) -> list[MarketEvent]:
    decoder = FrameDecoder([case.instrument])
    events: list[MarketEvent] = []
    for at, raw in recorded_lines(path):
        if raw.startswith(PREFIX):
            event = decoder.decode(raw, at)
            assert event is not None
            events.append(event)
        else:
            events.append(decoder.snapshot(case.instrument.symbol, raw, at))
    return events


def test_rebuilt_book_equals_the_exchanges_quote_at_every_equal_update_id(case: Case, path: Path) -> None:
    events = events_of(case, path)
    quotes = {event.update_id: event for event in events if isinstance(event, TopOfBook)}
    book, sync, counts = OrderBook(), DepthSync(), Counter[str]()

    def applied(delta: BookDelta) -> None:
        book.apply(delta)
        counts["applied"] += 1
        counts["crossed"] += book.crossed
        quote = quotes.get(delta.last_id)
        if quote is not None:
            counts["compared"] += 1
            counts["equal"] += book.bids.top(1) + book.asks.top(1) == [
                (quote.bid, quote.bid_lots),
                (quote.ask, quote.ask_lots),
            ]

    for event in events:
        if isinstance(event, BookSnapshot):
            buffered = sync.buffered
            pending = sync.on_snapshot(event)
            assert pending is not None
            counts["dropped"] = buffered - len(pending)
            book.load(event)
            for delta in pending:
                applied(delta)
        elif isinstance(event, BookDelta):
            verdict = sync.on_delta(event)
            assert verdict in {Verdict.APPLY, Verdict.BUFFERED}
            if verdict is Verdict.APPLY:
                applied(event)

    assert counts["crossed"] == 0
    assert counts["equal"] == counts["compared"]
    assert (counts["dropped"], counts["applied"], counts["compared"], book.last_id) == case[2:]
    bids, asks = naive_final_book(path, case.instrument)
    assert book.bids.lots == bids
    assert book.asks.lots == asks


def naive_final_book(path: Path, instrument: Instrument) -> tuple[dict[int, int], dict[int, int]]:
    """The final book by plain JSON, Decimals and dictionaries, knowing that the recording has no gap."""
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    messages = [json.loads(raw) for _, raw in recorded_lines(path)]
    snapshot = next(one for one in messages if "lastUpdateId" in one)
    updates = [one["data"] for one in messages if "data" in one and one["data"].get("e") == "depthUpdate"]
    fresh = [one for one in updates if one["u"] > snapshot["lastUpdateId"]]
    changes = [(snapshot["bids"], snapshot["asks"]), *((one["b"], one["a"]) for one in fresh)]
    for change in changes:
        for side, levels in zip(sides, change, strict=True):
            for price, quantity in levels:
                if Decimal(quantity):
                    side[Decimal(price)] = Decimal(quantity)
                else:
                    side.pop(Decimal(price), None)
    bids, asks = (
        {instrument.ticks(price): max(1, int(quantity / instrument.lot)) for price, quantity in side.items()}
        for side in sides
    )
    return bids, asks


def test_view_believes_the_whole_recording(case: Case, path: Path) -> None:
    view = MarketView(case.instrument, ViewConfig(bar_interval_ns=SECOND, bar_grace_ns=SECOND // 4))
    counts: Counter[str] = Counter()
    states: list[FeedState] = []
    bars: list[Bar] = []
    traded: Counter[int] = Counter()
    for event in events_of(case, path):
        counts[f"in {type(event).__name__}"] += 1
        for out in view.on_event(event, event.ts_recv):
            counts[f"out {type(out).__name__}"] += 1
            if isinstance(out, FeedStatus):
                states.append(out.state)
            elif isinstance(out, Bar):
                bars.append(out)
            elif isinstance(out, Trade):
                traded[out.ts_event - out.ts_event % SECOND] += out.lots

    assert states == [FeedState.LIVE]
    assert not view.gate.counters
    assert view.gate.missing_trades == 0
    assert view.resyncs == 0
    assert counts["out Trade"] == counts["in Trade"]
    # The venue's clock was 1.27 s ahead of the recorder's.
    assert -1_280_000_000 < view.gate.clock.value < -1_270_000_000
    assert [bar.start for bar in bars] == list(range(bars[0].start, bars[-1].start + 1, SECOND))
    assert len(bars) > 340
    assert {bar.start: bar.volume for bar in bars if bar.volume} == {
        start: lots for start, lots in traded.items() if bars[0].start <= start <= bars[-1].start
    }


def test_recording_decodes_to_what_decimal_arithmetic_gives(case: Case, path: Path) -> None:
    """Every trade, and every tenth quote, against a slow second decoder."""
    instrument, decoder = case.instrument, FrameDecoder([case.instrument])
    for number, (at, raw) in enumerate(recorded_lines(path)):
        message = json.loads(raw, parse_float=Decimal)
        data = message.get("data", {})
        kind = data.get("e", "bookTicker" if data else "snapshot")
        if kind == "trade":
            event = decoder.decode(raw, at)
            assert isinstance(event, Trade)
            assert (event.price, event.lots) == (instrument.ticks(data["p"]), instrument.lots(data["q"]))
            assert (event.trade_id, event.ts_event, int(event.aggressor)) == (
                data["t"],
                data["T"] * 1_000_000,
                -1 if data["m"] else 1,
            )
        elif kind == "bookTicker" and number % 10 == 0:
            event = decoder.decode(raw, at)
            assert isinstance(event, TopOfBook)
            bid: Level = (instrument.ticks(data["b"]), instrument.lots(data["B"]))
            ask: Level = (instrument.ticks(data["a"]), instrument.lots(data["A"]))
            assert ((event.bid, event.bid_lots), (event.ask, event.ask_lots)) == (bid, ask)

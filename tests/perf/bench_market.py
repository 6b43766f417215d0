"""Market data path on real recordings: decode, book, quality gate and bars, with the decoder's own floor beside it.

Run: ``python -m tests.perf.bench_market``. Rates are messages per second of CPU time, best of ``ROUNDS``; latency is
wall time of one message from raw bytes to the view's answer.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.support.market_events import SECOND, make_instrument, recorded_lines
from tests.support.recordings import coinbase_products, cryptofeed_frames
from tests.support.venue_lines import advanced_trade_lines, oanda_lines
from workers.adapters.binance.frames import PREFIX, FrameDecoder
from workers.adapters.coinbase.exchange_frames import ExchangeDecoder
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.oanda.stream import OandaDecoder
from workers.adapters.store.replay import Decoder
from workers.engine.events import BookDelta, BookSnapshot, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.book import OrderBook
from workers.engine.market.view import MarketView, ViewConfig

ROUNDS = 3
FILES = (
    ("btcusdt_20240808.gz", make_instrument("BTCUSDT", "0.01", "0.00001")),
    ("ethusdt_20240808.gz", make_instrument("ETHUSDT", "0.01", "0.0001")),
)
Lines = list[tuple[int, bytes]]


def main() -> None:
    """Print the table."""
    root = Path(os.environ.get("GEKKO_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "recordings" / "binance-spot"
    if not folder.is_dir():
        print(f"no recordings in {folder}; set GEKKO_DATA")
        return
    print(f"{'what':<46}{'count':>9}{'per second':>13}")
    for file, instrument in FILES:
        lines = list(recorded_lines(folder / file))
        bench_rates(instrument, lines)
        bench_latency(instrument, lines)
    bench_venues(root)
    print(f"load average {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, best of {ROUNDS}")


def bench_rates(instrument: Instrument, lines: Lines) -> None:
    """Rates of each part, floors first."""
    name = instrument.symbol
    frames = [(at, raw) for at, raw in lines if raw.startswith(PREFIX)]
    report(f"{name} floor: msgspec untyped decode", len(frames), lambda: untyped(frames))
    for kind in ("bookTicker", "trade", "depth@100ms"):
        some = [(at, raw) for at, raw in frames if f"@{kind}".encode() in raw[:40]]
        report(f"{name} decode {kind}", len(some), lambda some=some: decode(instrument, some))  # type: ignore[misc]  # bound
    report(f"{name} decode all", len(lines), lambda: decode(instrument, lines))
    events = decode(instrument, lines)
    depth = [event for event in events if isinstance(event, BookDelta)]
    levels = sum(len(one.bids) + len(one.asks) for one in depth)
    snapshot = next(event for event in events if isinstance(event, BookSnapshot))
    report(f"{name} book alone, levels", levels, lambda: book(snapshot, depth))
    report(f"{name} sync+quality+book+bars, decoded input", len(events), lambda: view(instrument, events))
    report(f"{name} raw bytes to view", len(lines), lambda: replay(instrument, lines))


def bench_venues(root: Path) -> None:
    """Decode and normalise, and on into the view, for each other venue's own protocol."""
    folder = root / "recordings" / "coinbase"
    symbols = [
        "SKL-USD",
        "SKL-BTC",
        "BAND-GBP",
        "NMR-EUR",
        "BAND-BTC",
        "YFI-BTC",
        "DASH-BTC",
        "NU-GBP",
        "CRV-EUR",
        "SKL-GBP",
    ]
    products = coinbase_products(folder, symbols)
    old = list(cryptofeed_frames(folder / "COINBASE.ws.28.0"))
    advanced = advanced_trade_lines(old)
    gold = make_instrument("XAU_USD", "0.001", "1")
    ticks = oanda_lines(root / "fx" / "oanda-xauusd-tick-20140501.zip", 30_000)
    coins = list(products.values())
    venues: tuple[tuple[str, Lines, list[Instrument], Callable[[], Decoder]], ...] = (
        ("coinbaseexchange", old, coins, lambda: ExchangeDecoder(coins)),
        ("coinbase advanced", advanced, coins, lambda: AdvancedTradeDecoder(coins)),
        ("oanda prices", ticks, [gold], lambda: OandaDecoder([gold])),
    )
    for name, lines, instruments, make in venues:
        report(f"{name} floor: msgspec untyped decode", len(lines), lambda lines=lines: untyped(lines))  # type: ignore[misc]  # bound
        report(f"{name} decode all", len(lines), lambda lines=lines, make=make: through(make(), lines, {}))  # type: ignore[misc]  # bound
        report(
            f"{name} raw bytes to view",
            len(lines),
            lambda lines=lines, make=make, some=instruments: through(make(), lines, views(some)),  # type: ignore[misc]  # bound
        )


def views(instruments: list[Instrument]) -> dict[str, MarketView]:
    """A view for each instrument; OANDA's has no book."""
    config = ViewConfig(bar_interval_ns=SECOND, needs_book=instruments[0].symbol != "XAU_USD")
    return {one.symbol: MarketView(one, config) for one in instruments}


def through(decoder: Decoder, lines: Lines, to: dict[str, MarketView]) -> None:
    """Lines through a decoder and, where there are views, through these."""
    for at, raw in lines:
        for event in decoder.decode(raw, at):
            if to:
                to[event.symbol].on_event(event, at)


def report(what: str, count: int, work: Callable[[], object]) -> None:
    """Best rate of some rounds, without the collector."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
        gc.enable()
    print(f"{what:<46}{count:>9,}{count / best:>13,.0f}")


def untyped(frames: Lines) -> None:
    """What it costs to read the JSON at all."""
    decode_any = msgspec.json.Decoder().decode
    for _, raw in frames:
        decode_any(raw)


def decode(instrument: Instrument, lines: Lines) -> list[MarketEvent]:
    """Events of raw lines, by a fresh decoder that remembers nothing yet."""
    decoder = FrameDecoder([instrument])
    events: list[MarketEvent] = []
    for at, raw in lines:
        event = decoder.decode(raw, at) if raw.startswith(PREFIX) else decoder.snapshot(instrument.symbol, raw, at)
        if event is not None:
            events.append(event)
    return events


def book(snapshot: BookSnapshot, deltas: list[BookDelta]) -> None:
    """The book without synchronisation."""
    made = OrderBook()
    made.load(snapshot)
    for delta in deltas:
        made.apply(delta)


def new_view(instrument: Instrument) -> MarketView:
    """A view with one-second bars."""
    return MarketView(instrument, ViewConfig(bar_interval_ns=SECOND))


def view(instrument: Instrument, events: list[MarketEvent]) -> None:
    """Everything after decoding."""
    made = new_view(instrument)
    for event in events:
        made.on_event(event, event.ts_recv)


def replay(instrument: Instrument, lines: Lines) -> None:
    """Everything."""
    decoder, made = FrameDecoder([instrument]), new_view(instrument)
    for at, raw in lines:
        event = decoder.decode(raw, at) if raw.startswith(PREFIX) else decoder.snapshot(instrument.symbol, raw, at)
        if event is not None:
            made.on_event(event, at)


def bench_latency(instrument: Instrument, lines: Lines) -> None:
    """Wall time per message by kind."""
    decoder, made = FrameDecoder([instrument]), new_view(instrument)
    taken: dict[type[MarketEvent], list[int]] = {TopOfBook: [], Trade: [], BookDelta: []}
    gc.collect()
    gc.disable()
    for at, raw in lines:
        started = time.perf_counter_ns()
        event = decoder.decode(raw, at) if raw.startswith(PREFIX) else decoder.snapshot(instrument.symbol, raw, at)
        if event is None:
            continue
        made.on_event(event, at)
        spent = time.perf_counter_ns() - started
        if type(event) in taken:
            taken[type(event)].append(spent)
    gc.enable()
    for kind, spans in taken.items():
        spans.sort()
        p50, p99 = (spans[int(len(spans) * part)] / 1000 for part in (0.5, 0.99))
        what = f"{instrument.symbol} latency {kind.__name__}"
        print(f"{what:<46}{len(spans):>9,}  p50 {p50:.1f} us  p99 {p99:.1f} us")


if __name__ == "__main__":
    main()

"""Recordings into the store: their trades and best prices, through the decoder of their feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from workers.adapters.coinbase.exchange_frames import ExchangeDecoder
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.feeds import BINANCE_LIKE
from workers.adapters.oanda.stream import OandaDecoder
from workers.adapters.recording import RecordingDamaged, read_header
from workers.adapters.store.grid import Grid
from workers.adapters.store.parquet_store import SeriesKey, Store, Written
from workers.adapters.store.replay import BinanceReplay, Decoder, replay
from workers.adapters.store.schema import COLUMNS, Kind, StoreError
from workers.engine.events import MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.view import MarketView, ViewConfig

EVERY = 5000


def import_recording(
    store: Store, path: Path, instrument: Instrument, on_rows: Callable[[int], None] | None = None
) -> dict[SeriesKey, Written]:
    """Store the believed trades and quotes of one instrument: what a live view would have believed of the recording.

    Frames that the decoder refuses are left out, as they would be live. Raises StoreError.
    """
    try:
        header = read_header(path)
    except RecordingDamaged as error:
        raise StoreError(str(error)) from error
    events = _believed(path, _decoder(header.venue, instrument, path), instrument, on_rows)
    trades: list[tuple[int, ...]] = []
    quotes: list[tuple[int, ...]] = []
    for one in events:
        if isinstance(one, Trade):
            trades.append((one.ts_event, one.trade_id, one.price, one.lots, int(one.aggressor), one.ts_recv))
        elif isinstance(one, TopOfBook):
            quotes.append((one.ts_event, one.bid, one.ask, one.bid_lots, one.ask_lots, one.ts_recv))
    grid, written = Grid(instrument.tick, instrument.lot), {}
    for kind, rows in ((Kind.TRADES, trades), (Kind.QUOTES, quotes)):
        if rows:
            columns = zip(COLUMNS[kind], zip(*rows, strict=True), strict=True)
            arrays = {name: np.array(column, np.int64) for name, column in columns}
            key = SeriesKey(kind, header.venue, instrument.symbol)
            written[key] = store.write(key, arrays, grid)
    if not written:
        raise StoreError(f"{path.name} has neither trades nor quotes of {instrument.symbol}")
    return written


def _believed(
    path: Path, decoder: Decoder, instrument: Instrument, on_rows: Callable[[int], None] | None
) -> Iterator[MarketEvent]:
    view = MarketView(instrument, ViewConfig(needs_book=not isinstance(decoder, OandaDecoder)))
    for count, event in enumerate(replay(path, decoder, [])):
        if event.symbol == instrument.symbol:
            yield from view.on_event(event, event.ts_recv)
        if on_rows is not None and count % EVERY == 0:
            on_rows(count)


def _decoder(venue: str, instrument: Instrument, path: Path) -> Decoder:
    if venue in BINANCE_LIKE:
        return BinanceReplay(instrument)
    if venue == "coinbase":
        return AdvancedTradeDecoder([instrument])
    if venue == "coinbaseexchange":
        return ExchangeDecoder([instrument])
    if venue == "oanda":
        return OandaDecoder([instrument])
    raise StoreError(f"{path.name} is of {venue!r}, whose frames cannot be read here")

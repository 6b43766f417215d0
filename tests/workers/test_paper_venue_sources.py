"""Where the market comes from: what each source yields, and which one is chosen."""

from __future__ import annotations

import os
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path

import pytest

from tests.support.paper_venue import running
from workers.engine.execution.matching import MatchingEngine
from workers.engine.vocabulary import Side
from workers.live.paper_venue.config import ConfigError, MarketKind, VenueConfig
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.market import Market
from workers.live.paper_venue.sources import bars
from workers.live.paper_venue.sources.choose import choose
from workers.live.paper_venue.sources.live import LiveSource
from workers.live.paper_venue.sources.recording import RecordingError, RecordingSource
from workers.live.paper_venue.sources.synthetic import SyntheticSource
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Grid, MarketSource, TopFrame, TradeFrame, units

DATA = Path(os.environ.get("GEKKO_DATA", Path(__file__).parents[3] / "shared" / "data"))
RECORDINGS = DATA / "recordings" / "binance-spot"
needs_recordings = pytest.mark.skipif(not RECORDINGS.exists(), reason="recordings are not here")
NOWHERE = "http://127.0.0.1:9"


def check_book(source: MarketSource, frames: int, *, least_compared: int = 20) -> None:
    """By the exchange's rules: ids without a gap, never crossed, and equal to the best prices at equal ids."""
    books: dict[str, tuple[dict[str, str], dict[str, str], int]] = {}
    tops: dict[tuple[str, int], TopFrame] = {}
    compared = 0
    offsets: list[int] = []
    for offset, frame in islice(source.session(1, 0).frames, frames):
        offsets.append(offset)
        match frame:
            case BookFrame():
                books[frame.symbol] = (dict(frame.bids), dict(frame.asks), frame.last_id)
            case DepthFrame():
                bids, asks, last = books[frame.symbol]
                assert frame.first_id <= last + 1 <= frame.last_id + 1
                for side, levels in ((bids, frame.bids), (asks, frame.asks)):
                    for price, qty in levels:
                        side[price] = qty
                        if not units(qty):
                            del side[price]
                assert max(map(Decimal, bids)) < min(map(Decimal, asks))
                books[frame.symbol] = (bids, asks, frame.last_id)
                top = tops.get((frame.symbol, frame.last_id))
                if top is not None:
                    assert (max(bids, key=Decimal), min(asks, key=Decimal)) == (top.bid, top.ask)
                    assert (bids[top.bid], asks[top.ask]) == (top.bid_qty, top.ask_qty)
                    compared += 1
            case TopFrame():
                assert Decimal(frame.bid) < Decimal(frame.ask)
                tops[frame.symbol, frame.update_id] = frame
            case TradeFrame():
                assert units(frame.qty) > 0
    assert offsets == sorted(offsets)
    assert compared >= least_compared


def test_the_synthetic_market_repeats_under_its_seed_and_keeps_its_rate() -> None:
    source = SyntheticSource(VenueConfig(events_per_second=1000, session_s=60))
    check_book(source, 5000, least_compared=0)
    again = SyntheticSource(VenueConfig(events_per_second=1000, session_s=60))
    other = SyntheticSource(VenueConfig(events_per_second=1000, session_s=60, seed=8))
    first, second, third = (list(islice(s.session(1, 0).frames, 2002)) for s in (source, again, other))
    assert first == second != third
    assert first[2001][0] - first[1001][0] == 1_000_000_000


@pytest.mark.skipif(not (DATA / "ohlcv").exists(), reason="bar history is not here")
def test_bars_are_replayed_to_the_tick() -> None:
    config = VenueConfig(data_dir=DATA, market=MarketKind.BARS, bar_seconds=2.0)
    source = choose(config)
    assert isinstance(source, bars.BarSource)
    check_book(source, 5000, least_compared=0)
    grid = Grid(source.instruments[0])
    prices: dict[int, list[int]] = {}
    for offset, frame in islice(source.session(1, 0).frames, 3000):
        if isinstance(frame, TradeFrame):
            prices.setdefault(offset // 2_000_000_000, []).append(grid.ticks(frame.price))
    for number in range(50):
        bar = source._bars[number]
        path = prices[number]
        assert (path[0], max(path), min(path), path[-1]) == (bar.open, bar.high, bar.low, bar.close)


def test_the_sample_needs_no_data_folder_and_says_where_it_is_from() -> None:
    source = bars.sample(VenueConfig())
    assert source.label.startswith("SAMPLE EUR/USD hourly 2017, from gym-anytrading")
    assert source.instruments[0].symbol == "EURUSD"
    check_book(source, 2000, least_compared=0)


def test_a_pass_over_bars_can_start_later() -> None:
    source = bars.sample(VenueConfig())
    offset, frame = next(source.session(1, 100_500_000_000).frames)
    assert isinstance(frame, BookFrame)
    assert offset == 100_000_000_000


@needs_recordings
def test_a_recording_is_played_by_the_exchanges_rules() -> None:
    check_book(RecordingSource(RECORDINGS, VenueConfig()), 12_000)


@needs_recordings
def test_the_book_that_is_matched_against_equals_the_book_that_is_shown() -> None:
    source = RecordingSource(RECORDINGS, VenueConfig())
    engine = MatchingEngine(source.instruments, {})
    market = Market(engine, source.instruments, hub=Hub(), on_reports=lambda _: None)
    market.begin(1, 0, 0)
    tops: dict[str, int] = {}
    compared = 0
    for offset, frame in islice(source.session(1, 0).frames, 20_000):
        if not market.open:
            market.show(frame, 0)
            if all(shown.last_id for shown in market.listings.values()):
                market.start_trading(1)
            continue
        market.apply(frame, offset)
        if isinstance(frame, TopFrame):
            tops[frame.symbol] = frame.update_id
        if isinstance(frame, DepthFrame) and tops.get(frame.symbol, 0) <= frame.last_id:
            shown = market.listings[frame.symbol]
            for side, levels in ((Side.BUY, shown.bids), (Side.SELL, shown.asks)):
                book = engine.book(frame.symbol, side)
                assert len(book) == len(levels)
                assert dict(book.levels(50)).items() <= dict(shown.grid.levels(list(levels.items()))).items()
            compared += 1
    assert compared > 1000


@needs_recordings
async def test_a_recording_has_candlesticks_at_once_and_continues_where_it_was(tmp_path) -> None:
    async def bars_and_price() -> tuple[int, Decimal]:
        async with running(tmp_path, market=MarketKind.RECORDING, data_dir=DATA, preroll_s=60) as venue:
            _, rows = await venue.call("GET", "klines", signed=False, symbol="BTCUSDT", interval="1s")
            assert all(b[0] - a[0] == 1000 for a, b in pairwise(rows))
            return len(rows), Decimal(rows[-1][4])

    (count, price), (again, later) = await bars_and_price(), await bars_and_price()
    assert count >= 60
    # The second that the pre-roll begins in may count or not.
    assert again >= count - 1
    assert abs(later - price) < 20


async def test_a_live_feed_is_relayed_and_its_loss_is_a_break(tmp_path) -> None:
    async with running(tmp_path / "upstream") as upstream:
        live = {"market": MarketKind.LIVE, "live_rest": upstream.url, "live_stream": upstream.url}
        async with running(tmp_path / "relay", **live) as venue:
            _, info = await venue.call("GET", "exchangeInfo", signed=False)
            assert info["gekko"]["market"] == "live"
            async with venue.socket("/stream?streams=btcusdt@trade/btcusdt@sessionStatus") as socket:
                kinds = {(await socket.receive_json())["data"]["e"] for _ in range(5)}
                assert kinds == {"sessionStatus", "trade"}
                assert (await venue.order(type="MARKET"))[1]["status"] == "FILLED"
                await upstream.fault(drop_websockets=True)
                while (message := (await socket.receive_json())["data"])["e"] != "sessionStatus":
                    pass
                assert message["status"] == "BREAK"
                while (message := (await socket.receive_json())["data"])["e"] != "sessionStatus":
                    pass
                assert message["status"] == "OPEN"


def test_auto_takes_the_recording_then_the_live_feed_then_the_sample(tmp_path) -> None:
    if RECORDINGS.exists():
        assert choose(VenueConfig(data_dir=DATA)).kind is MarketKind.RECORDING
    assert choose(VenueConfig(data_dir=tmp_path, live_rest=NOWHERE)).kind is MarketKind.SAMPLE
    assert not LiveSource(VenueConfig(live_rest=NOWHERE)).reachable()


def test_what_cannot_be_played_is_said_clearly(tmp_path) -> None:
    with pytest.raises(RecordingError, match="set GEKKO_DATA"):
        choose(VenueConfig(data_dir=tmp_path, market=MarketKind.RECORDING))
    with pytest.raises(ConfigError, match="set GEKKO_DATA"):
        choose(VenueConfig(data_dir=tmp_path, market=MarketKind.BARS))
    with pytest.raises(ConfigError, match="90000000"):
        SyntheticSource(VenueConfig(events_per_second=1e6, session_s=86_400))


def test_settings_come_from_the_environment_and_bad_ones_are_named(tmp_path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "venue_api_key").write_text("from-file\n")
    env = {"GEKKO_STATE_DIR": str(tmp_path), "GEKKO_VENUE_SPEED": "4", "GEKKO_VENUE_MARKET": "bars"}
    config = VenueConfig.from_env(env | {"GEKKO_VENUE_API_SECRET": "s"})
    assert (config.speed, config.market, config.state_dir) == (4.0, MarketKind.BARS, tmp_path / "venue")
    assert (config.api_key, config.api_secret) == ("from-file", "s")
    bad: dict[str, str]
    for bad in ({"GEKKO_VENUE_SPEED": "fast"}, {"GEKKO_VENUE_SPEED": "0"}, {"GEKKO_VENUE_MARKET": "moon"}):
        with pytest.raises(ConfigError, match=r"speed|SPEED|MARKET"):
            VenueConfig.from_env(env | bad)

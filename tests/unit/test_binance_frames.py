"""Decoding of Binance spot frames and answers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.market_events import make_instrument
from workers.adapters.binance.exchange_info import decode_exchange_info, instruments
from workers.adapters.binance.frames import FrameDecoder, FrameError
from workers.adapters.binance.grid import MAX_REMEMBERED, DecimalGrid, RestingGrid
from workers.engine.events import Bar, BookDelta, FeedStatus, TopOfBook, Trade
from workers.engine.instruments import GridError
from workers.engine.market.quality import Rejection
from workers.engine.vocabulary import FeedState, Side

DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":5,"u":9,'
    b'"b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"],["61844.30000000","0.40163000"]]}}'
)
TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)


@pytest.fixture
def decoder() -> FrameDecoder:
    return FrameDecoder([make_instrument()], ["1m"])


def test_depth_update_becomes_a_delta(decoder: FrameDecoder) -> None:
    assert decoder.decode(DEPTH, 77) == BookDelta(
        symbol="BTCUSDT",
        ts_event=1723161255308_000_000,
        ts_recv=77,
        first_id=5,
        last_id=9,
        bids=((5565387, 0),),
        asks=((6183804, 32332), (6184430, 40163)),
    )


def test_book_ticker_takes_the_receive_time_for_the_event_time(decoder: FrameDecoder) -> None:
    assert decoder.decode(TICKER, 77) == TopOfBook(
        symbol="BTCUSDT",
        ts_event=77,
        ts_recv=77,
        update_id=50093239212,
        bid=6183763,
        bid_lots=378826,
        ask=6183764,
        ask_lots=154698,
    )


@pytest.mark.parametrize(("maker", "side"), [(b"true", Side.SELL), (b"false", Side.BUY)])
def test_trade_has_the_side_of_its_taker(decoder: FrameDecoder, maker: bytes, side: Side) -> None:
    event = decoder.decode(TRADE.replace(b'"m":true', b'"m":' + maker), 77)
    assert event == Trade(
        symbol="BTCUSDT",
        ts_event=1723161255342_000_000,
        ts_recv=77,
        trade_id=3735683259,
        price=6183763,
        lots=2000,
        aggressor=side,
    )


@pytest.mark.parametrize("closed", [True, False])
def test_only_a_closed_candle_becomes_a_bar(decoder: FrameDecoder, closed: bool) -> None:
    candle = {
        "t": 1723161240000,
        "T": 1723161299999,
        "s": "BTCUSDT",
        "i": "1m",
        "o": "1.00",
        "h": "3.00",
        "l": "0.50",
        "c": "2.00",
        "v": "0.00007",
        "n": 4,
        "x": closed,
    }
    raw = msgspec.json.encode({"stream": "btcusdt@kline_1m", "data": {"e": "kline", "s": "BTCUSDT", "k": candle}})
    event = decoder.decode(raw, 77)
    if not closed:
        assert event is None
        return
    assert isinstance(event, Bar)
    assert (event.start, event.ts_event) == (1723161240_000_000_000, 1723161300_000_000_000)
    assert event.interval_ns == 60_000_000_000
    assert (event.open, event.high, event.low, event.close, event.volume, event.trades) == (100, 300, 50, 200, 7, 4)


@pytest.mark.parametrize(("word", "state"), [("OPEN", FeedState.LIVE), ("BREAK", FeedState.BREAK)])
def test_session_status_becomes_feed_status(decoder: FrameDecoder, word: str, state: FeedState) -> None:
    data = {"e": "sessionStatus", "E": 5, "s": "BTCUSDT", "status": word, "sessionId": 3, "closesAt": 9}
    event = decoder.decode(msgspec.json.encode({"stream": "btcusdt@sessionStatus", "data": data}), 77)
    assert isinstance(event, FeedStatus)
    assert (event.state, event.session_id, event.closes_at) == (state, 3, 9_000_000)


def test_order_of_keys_and_spaces_do_not_matter(decoder: FrameDecoder) -> None:
    data = msgspec.json.decode(TRADE)
    turned = msgspec.json.format(msgspec.json.encode(dict(reversed(data.items()))))
    assert decoder.decode(turned, 77) == decoder.decode(TRADE, 77)


def test_answers_to_requests_are_no_events(decoder: FrameDecoder) -> None:
    assert decoder.decode(b'{"result":null,"id":1}', 1) is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"not json", Rejection.SCHEMA),
        (b"{}", Rejection.SCHEMA),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":1}', Rejection.SCHEMA),
        (b'{"stream":"dogeusdt@trade","data":{}}', Rejection.UNKNOWN_SYMBOL),
        (TRADE.replace(b'"BTCUSDT"', b'"ETHUSDT"'), Rejection.SCHEMA),
        (TRADE.replace(b'"t":3735683259,', b""), Rejection.SCHEMA),
        (TRADE.replace(b"3735683259", b'"3735683259"'), Rejection.SCHEMA),
        (TRADE.replace(b"61837.63000000", b"61837.63100000"), Rejection.OFF_GRID),
        (TRADE.replace(b"61837.63000000", b"NaN"), Rejection.OFF_GRID),
        (TRADE.replace(b"61837.63000000", b"-1.00"), Rejection.OFF_GRID),
        (TRADE.replace(b"0.02000000", b"0.02000001"), Rejection.OFF_GRID),
        (DEPTH.replace(b"61838.04000000", b"61838.04500000"), Rejection.OFF_GRID),
        (TRADE[:-5], Rejection.SCHEMA),
    ],
)
def test_bad_frames_are_refused_with_a_reason(decoder: FrameDecoder, raw: bytes, reason: Rejection) -> None:
    with pytest.raises(FrameError) as caught:
        decoder.decode(raw, 1)
    assert caught.value.reason is reason


def test_resting_quantity_finer_than_a_lot_is_rounded_down_but_its_level_stays(decoder: FrameDecoder) -> None:
    event = decoder.decode(DEPTH.replace(b"0.32332000", b"0.32332900").replace(b"0.40163000", b"0.00000001"), 1)
    assert isinstance(event, BookDelta)
    assert event.asks == ((6183804, 32332), (6184430, 1))


def test_snapshot(decoder: FrameDecoder) -> None:
    event = decoder.snapshot("BTCUSDT", b'{"lastUpdateId":7,"bids":[["1.00","0.00001"]],"asks":[]}', 5)
    assert (event.last_id, event.bids, event.asks, event.ts_recv) == (7, ((100, 1),), (), 5)
    with pytest.raises(FrameError, match="SCHEMA"):
        decoder.snapshot("BTCUSDT", b'{"code":-1121,"msg":"Invalid symbol."}', 5)


@given(
    unit=st.sampled_from([Decimal(text) for text in ("0.01", "0.00000001", "0.5", "1", "10", "0.025", "1E-5", "1E+2")]),
    count=st.integers(0, 10**12),
    zeros=st.integers(0, 6),
)
def test_grid_is_exact_on_every_multiple(unit: Decimal, count: int, zeros: int) -> None:
    text = f"{unit * count:f}"
    text = text + ("0" * zeros if "." in text else "." + "0" * zeros if zeros else "")
    grid = DecimalGrid(unit, "test")
    assert grid[text] == count
    assert grid[text] == count


@given(value=st.decimals(0, 10**9, allow_nan=False, places=9), unit=st.sampled_from(["0.01", "0.00001", "0.5"]))
def test_grid_refuses_exactly_what_decimal_arithmetic_refuses(value: Decimal, unit: str) -> None:
    grid = DecimalGrid(Decimal(unit), "test")
    if value % Decimal(unit):
        with pytest.raises(GridError, match="expected whole multiple"):
            grid[f"{value:f}"]
    else:
        assert grid[f"{value:f}"] == value / Decimal(unit)
    rounded = RestingGrid(Decimal(unit), "test")[f"{value:f}"]
    assert rounded == max(int(value / Decimal(unit)), 1 if value else 0)


@pytest.mark.parametrize("text", ["", ".", "1e5", " 1", "1_000", "٣", "0x10", "inf", "1.2.3", "9" * 41])
def test_grid_refuses_what_is_no_plain_decimal(text: str) -> None:
    with pytest.raises(GridError, match="expected decimal"):
        DecimalGrid(Decimal("0.01"), "test")[text]


@pytest.mark.parametrize("unit", ["0", "-1", "NaN", "Infinity"])
def test_grid_needs_a_positive_unit(unit: str) -> None:
    with pytest.raises(GridError, match="expected positive unit"):
        DecimalGrid(Decimal(unit), "test")


def test_grid_forgets_instead_of_growing() -> None:
    grid = DecimalGrid(Decimal(1), "test")
    for number in range(MAX_REMEMBERED + 1):
        assert grid[str(number)] == number
    assert len(grid) == 1


EXCHANGE_INFO = {
    "timezone": "UTC",
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 2, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    ],
    "gekko": {"market": "recording", "label": "BTCUSDT 2024-08-08", "barInterval": "1s"},
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.000015", "maxQty": "9000.0", "stepSize": "0.00001000"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
            ],
        },
        {"symbol": "XY", "status": "BREAK", "baseAsset": "X", "quoteAsset": "Y", "filters": []},
    ],
}


def test_exchange_info_gives_instruments_and_the_market() -> None:
    info = decode_exchange_info(msgspec.json.encode(EXCHANGE_INFO))
    assert info.gekko is not None
    assert info.gekko.market == "recording"
    assert info.weight_per_minute == 3000
    fee = Decimal("0.001")
    (one,) = instruments(info, venue="paper", symbols=["BTCUSDT"], maker_fee=fee, taker_fee=fee).values()
    assert (one.base, one.quote, one.tick, one.lot) == ("BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
    assert (one.min_lots, one.max_lots, one.min_notional) == (2, 900_000_000, Decimal(5))
    assert decode_exchange_info(b'{"symbols": []}').weight_per_minute == 0


@pytest.mark.parametrize(("symbol", "message"), [("NOPE", "NOPE"), ("XY", "PRICE_FILTER")])
def test_exchange_info_without_the_symbol_or_its_filters_says_so(symbol: str, message: str) -> None:
    info = decode_exchange_info(msgspec.json.encode(EXCHANGE_INFO))
    with pytest.raises(GridError, match=message):
        instruments(info, venue="paper", symbols=[symbol], maker_fee=Decimal(0), taker_fee=Decimal(0))

"""Whatever comes over a Coinbase connection: only refusals are raised, and no lost message goes unnoticed."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.adapters.coinbase.exchange_frames import ExchangeDecoder
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.frame_errors import FrameError, SequenceGap
from workers.adapters.oanda.stream import OandaDecoder
from workers.adapters.store.replay import Decoder
from workers.adapters.wire_time import nanoseconds, rfc3339
from workers.engine.events import BookDelta, BookSnapshot
from workers.engine.instruments import Instrument
from workers.engine.market.book import OrderBook
from workers.engine.market.sync import DepthSync, Verdict

BTC = Instrument(
    venue="coinbase",
    symbol="BTC-USD",
    base="BTC",
    quote="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.00000001"),
    min_lots=1,
    max_lots=10**15,
    min_notional=Decimal(1),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
)
AT = "2024-01-01T00:00:00.123456789Z"
SAID = ("l2_data", "market_trades", "ticker", "heartbeats", "snapshot", "update", "bid", "offer", "BTC-USD", AT, "1.00")
ALSO = ("l2update", "match", "buy", "sell", "heartbeat", "PRICE", "HEARTBEAT", "", "-1", "nan", "1e5", "0.001")
WORDS = st.sampled_from((*SAID, *ALSO))
NAMES = ("channel", "timestamp", "sequence_num", "events", "type", "product_id", "updates", "side", "price_level")
FIELDS = (
    "new_quantity",
    "trades",
    "trade_id",
    "price",
    "size",
    "time",
    "tickers",
    "changes",
    "bids",
    "asks",
    "best_bid",
)
KEYS = st.sampled_from((*NAMES, *FIELDS, "best_bid", "instrument"))
VALUES = st.recursive(
    st.one_of(WORDS, st.integers(-5, 10**20), st.none(), st.booleans(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=12,
)
QUICK = settings(max_examples=120, deadline=None)


@pytest.mark.parametrize("make", [AdvancedTradeDecoder, ExchangeDecoder, OandaDecoder])
@QUICK
@given(message=st.one_of(st.dictionaries(KEYS, VALUES, max_size=8), VALUES), cut=st.integers(0, 400))
def test_anything_is_decoded_or_refused(make: type, message: Any, cut: int) -> None:
    decoder: Decoder = make([BTC])
    raw = json.dumps(message).encode()
    for text in (raw, raw[:cut]):
        with contextlib.suppress(FrameError):
            decoder.decode(text, 1)


def frames(changes: list[tuple[bool, int, int]]) -> list[bytes]:
    """A snapshot, then one update per change, with heartbeats of the same connection between."""
    made: list[bytes] = []

    def add(channel: str, event: dict[str, Any]) -> None:
        body = {"channel": channel, "timestamp": AT, "sequence_num": len(made), "events": [event]}
        made.append(json.dumps(body).encode())

    def level(side: str, price: int, quantity: int) -> dict[str, str]:
        return {"side": side, "event_time": AT, "price_level": f"{price}.00", "new_quantity": f"{quantity}"}

    first = [level("bid", 100, 1), level("offer", 200, 1)]
    add("l2_data", {"type": "snapshot", "product_id": "BTC-USD", "updates": first})
    for is_bid, offset, quantity in changes:
        price = 100 - offset if is_bid else 200 + offset
        update = level("bid" if is_bid else "offer", price, quantity)
        add("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [update]})
        add("heartbeats", {"current_time": AT, "heartbeat_counter": len(made)})
    return made


CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 5)), min_size=2, max_size=15)


@QUICK
@given(CHANGES, st.data())
def test_any_lost_message_is_noticed_at_the_next_and_a_whole_connection_makes_the_book(
    changes: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    sent = frames(changes)
    decoder, sync, book = AdvancedTradeDecoder([BTC]), DepthSync(), OrderBook()
    model: tuple[dict[int, int], dict[int, int]] = ({10_000: 10**8}, {20_000: 10**8})
    for is_bid, offset, quantity in changes:
        model[not is_bid][(100 - offset if is_bid else 200 + offset) * 100] = quantity * 10**8
    for raw in sent:
        for event in decoder.decode(raw, 1):
            if isinstance(event, BookSnapshot):
                assert sync.on_snapshot(event) == []
                book.load(event)
            elif isinstance(event, BookDelta):
                assert sync.on_delta(event) is Verdict.APPLY
                book.apply(event)
    assert (book.bids.lots, book.asks.lots) == tuple({p: q for p, q in side.items() if q} for side in model)

    lost = data.draw(st.integers(1, len(sent) - 2))
    decoder.restart()
    for raw in sent[:lost]:
        decoder.decode(raw, 1)
    with pytest.raises(SequenceGap):
        decoder.decode(sent[lost + 1], 1)


@QUICK
@given(st.integers(0, 4 * 10**18))
def test_times_of_the_wire_are_exact_to_the_nanosecond(at: int) -> None:
    assert nanoseconds(rfc3339(at)) == at

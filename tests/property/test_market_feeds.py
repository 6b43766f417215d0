"""Properties of what every feed shares: reconnect policy, duplicates, checksums, unusual sizes."""

from __future__ import annotations

import random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.market_events import START, delta, snapshot, top, trade
from workers.engine.market.anomaly import SizeConfig, SizeFilter
from workers.engine.market.book import OrderBook
from workers.engine.market.checksum import decimal_text, kraken_book_checksum, kraken_checksum, okx_checksum
from workers.engine.market.dedup import SeenTrades
from workers.engine.market.quality import Anomaly, QualityConfig, QualityGate
from workers.engine.market.reconnect import ReconnectConfig, ReconnectPolicy
from workers.engine.market.venues import VENUES, Feature, Sequence, rules_of

QUICK = settings(max_examples=60, deadline=None)


# -- reconnect


@QUICK
@given(
    seed=st.integers(0, 2**32),
    base=st.floats(0.01, 5),
    cap=st.floats(5, 60),
    messages=st.lists(st.integers(0, 9), min_size=1, max_size=40),
)
def test_delays_start_at_once_double_to_the_cap_and_reset_only_after_good_messages(
    seed: int, base: float, cap: float, messages: list[int]
) -> None:
    config = ReconnectConfig(base_s=base, cap_s=cap, good_messages=5)
    policy, twin = (ReconnectPolicy(random.Random(seed), config) for _ in range(2))
    bad, now = 0, 0.0
    for heard in messages:
        delay = policy.next_delay()
        assert delay == twin.next_delay(), "the same seed must give the same delays"
        ceiling = 0.0 if not bad else min(cap, base * 2 ** (bad - 1))
        assert 0.0 <= delay <= ceiling
        for one in (policy, twin):
            one.opened(now)
            for _ in range(heard):
                one.heard(now)
        assert policy.proven is (heard >= 5)
        bad = 0 if heard >= 5 else bad + 1
        assert policy.failures == bad


def test_full_jitter_uses_the_whole_range() -> None:
    policy = ReconnectPolicy(random.Random(7))
    delays = [policy.next_delay() for _ in range(400)][20:]
    assert min(delays) < 1.0
    assert 29.0 < max(delays) <= 30.0


@QUICK
@given(st.lists(st.floats(0.001, 8), min_size=1, max_size=60), st.floats(1, 5), st.floats(5, 40))
def test_a_connection_is_dropped_when_silent_or_old_and_never_before(
    gaps: list[float], silence: float, age: float
) -> None:
    policy = ReconnectPolicy(random.Random(1), ReconnectConfig(silence_s=silence, max_age_s=age))
    now = heard = 0.0
    policy.opened(now)
    for gap in gaps:
        now += gap
        reason, wait = policy.verdict(now)
        if now - heard >= silence:
            assert reason.startswith("silent")
            return
        if now >= age:
            assert reason.startswith("planned reconnect")
            return
        assert reason == ""
        assert wait == pytest.approx(min(heard + silence, age) - now)
        policy.heard(now)
        heard = now


@pytest.mark.parametrize("bad", [{"base_s": 0.0}, {"silence_s": float("nan")}, {"good_messages": 0}])
def test_patience_that_cannot_work_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        ReconnectConfig(**bad)  # type: ignore[arg-type]  # on purpose


# -- duplicates


@QUICK
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 30)), max_size=120), st.integers(1, 8))
def test_a_trade_passes_once_while_it_is_remembered(ids: list[tuple[str, int]], capacity: int) -> None:
    seen, model = SeenTrades("x", capacity), list[tuple[str, int]]()
    for key in ids:
        assert seen.first(*key) is (key not in model)
        if key in model:
            model.remove(key)
        model.append(key)
        model = model[-capacity:]
    assert len(seen) == len(model)


@QUICK
@given(st.lists(st.lists(st.integers(1, 40), max_size=20), max_size=6))
def test_pages_that_overlap_give_every_trade_once_and_in_order(pages: list[list[int]]) -> None:
    seen = SeenTrades("x")
    out = [[one.trade_id for one in seen.fresh(trade(number) for number in page)] for page in pages]
    assert all(page == sorted(page) for page in out)
    flat = [number for page in out for number in page]
    assert sorted(flat) == sorted({number for page in pages for number in page})


# -- checksums

KRAKEN_BIDS = [
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
]
KRAKEN_ASKS = [
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
]


def test_the_example_of_krakens_own_guide() -> None:
    assert kraken_checksum(KRAKEN_BIDS, KRAKEN_ASKS) == 3310070434
    deeper = ([*KRAKEN_BIDS, ("1.0", "1.0")], [*KRAKEN_ASKS, ("99999.0", "1.0")])
    assert kraken_checksum(*deeper) == 3310070434


def kraken_book() -> OrderBook:
    sides = [
        [(int(p.replace(".", "")), int(q.replace(".", ""))) for p, q in side] for side in (KRAKEN_BIDS, KRAKEN_ASKS)
    ]
    book = OrderBook()
    book.load(snapshot(1, bids=tuple(sides[0]), asks=tuple(sides[1])))
    return book


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 10**9)), min_size=1, max_size=8))
def test_a_book_that_missed_an_update_differs_from_the_venues_checksum(updates: list[tuple[bool, int, int]]) -> None:
    ours, theirs = kraken_book(), kraken_book()
    assert kraken_book_checksum(ours, 1, 8) == 3310070434
    for number, (is_bid, place, quantity) in enumerate(updates, 2):
        side = (ours.bids if is_bid else ours.asks).top(10)
        change = ((side[place][0], quantity),)
        one = delta(number, number, bids=change if is_bid else (), asks=() if is_bid else change)
        theirs.apply(one)
        if number == len(updates) + 1 and side[place][1] != quantity:
            assert kraken_book_checksum(ours, 1, 8) != kraken_book_checksum(theirs, 1, 8)
        ours.apply(one)
        assert kraken_book_checksum(ours, 1, 8) == kraken_book_checksum(theirs, 1, 8)


def test_okx_interleaves_sides_of_different_length_and_is_signed() -> None:
    # The string of the example in OKX' v5 documentation, one side shorter than the other.
    bids, asks = [("3366.1", "7")], [("3366.8", "9"), ("3368", "8"), ("3372", "8")]
    text = b"3366.1:7:3366.8:9:3368:8:3372:8"
    assert okx_checksum(bids, asks) % 2**32 == crc32(text)
    assert -(2**31) <= okx_checksum(bids, asks) < 2**31


LEVELS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**12)), min_size=1, max_size=12)


@QUICK
@given(LEVELS, LEVELS, st.data())
def test_any_changed_digit_changes_the_checksum(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], data: st.DataObject
) -> None:
    sides = [[(decimal_text(p, 1), decimal_text(q, 8)) for p, q in side] for side in (bids, asks)]
    before = kraken_checksum(*sides), okx_checksum(*sides)
    side = data.draw(st.integers(0, 1))
    index = data.draw(st.integers(0, min(len(sides[side]), 10) - 1))
    price, quantity = (bids, asks)[side][index]
    sides[side][index] = (decimal_text(price + 1, 1), decimal_text(quantity, 8))
    assert kraken_checksum(*sides) != before[0]
    assert okx_checksum(*sides) != before[1]


@QUICK
@given(st.integers(0, 10**18), st.integers(0, 12))
def test_decimal_text_is_exact(count: int, exponent: int) -> None:
    text = decimal_text(count, exponent)
    assert int(text.replace(".", "")) == count
    assert len(text.partition(".")[2]) == exponent


# -- unusual sizes


@QUICK
@given(st.integers(0, 2**32), st.integers(1, 1000), st.floats(0.05, 1.0))
def test_usual_sizes_pass_and_a_huge_one_is_flagged_again_and_again(seed: int, middle: int, spread: float) -> None:
    rng = random.Random(seed)
    sizes = SizeFilter(SizeConfig(sigmas=8.0))
    for _ in range(300):
        usual = max(1, round(middle * 10 * 2.718281828 ** max(-3 * spread, min(3 * spread, rng.gauss(0, spread)))))
        assert sizes.take(usual) == 0.0
    assert sizes.take(middle * 10**9) > 8.0
    assert sizes.take(middle * 10**9) > 8.0
    assert sizes.outliers == 2


def test_the_gate_flags_an_unusual_size_and_still_believes_it() -> None:
    gate = QualityGate(QualityConfig())
    for number in range(1, 101):
        gate.trade(trade(number, lots=10 + number % 3, at=START + number), top(number))
    believed = gate.trade(trade(101, lots=10_000_000, at=START + 101), top(101))
    assert [one.trade_id for one in believed] == [101]
    assert gate.anomalies == {Anomaly.SIZE: 1}
    assert "10000000 lots" in gate.last_anomaly
    assert not gate.counters


# -- rules


def test_every_venue_says_how_loss_is_noticed_and_how_our_id_travels() -> None:
    for rules in VENUES.values():
        assert rules.client_id.field
        assert rules.supports(Feature.LIMIT)
        assert rules.supports("MARKET")
        assert rules.reconnect_after_s > 0
        if rules.supports(Feature.DEPTH):
            assert rules.sequence is not Sequence.NONE
    assert rules_of("coinbase").client_id.ccxt_param == "client_order_id"
    assert rules_of("kraken").code == "kraken"
    assert not rules_of("kraken").supports(Feature.OCO)
    with pytest.raises(ValueError, match="SOMETHING"):
        rules_of("paper").supports("SOMETHING")

"""The quality gate: every refusal has its reason."""

import pytest

from tests.support.market_events import SECOND, START, delta, top, trade
from workers.engine.market.quality import ClockOffset, QualityConfig, QualityGate, Rejection


@pytest.fixture
def gate() -> QualityGate:
    return QualityGate(QualityConfig())


def test_good_quote_and_trade_pass_uncounted(gate: QualityGate) -> None:
    quote = top(1)
    assert gate.ticker(quote)
    assert gate.settle_top(quote) is quote
    tick = trade(1)
    assert gate.trade(tick, quote) == (tick,)
    assert not gate.counters


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        (top(1, bid=10_002, ask=10_002), Rejection.CROSSED),
        (top(1, bid=10_003, ask=10_002), Rejection.CROSSED),
        (top(1, bid=0), Rejection.NOT_POSITIVE),
        (top(1, ask_lots=0), Rejection.NOT_POSITIVE),
    ],
)
def test_bad_quote_is_refused(gate: QualityGate, quote: object, reason: Rejection) -> None:
    assert not gate.ticker(quote)  # type: ignore[arg-type]  # parametrised
    assert gate.counters == {reason: 1}
    assert gate.last_refusal.startswith(reason)


def test_quotes_must_move_forward(gate: QualityGate) -> None:
    assert gate.ticker(top(5))
    assert not gate.ticker(top(5))
    assert not gate.ticker(top(4))
    assert gate.counters == {Rejection.DUPLICATE: 1, Rejection.OUT_OF_ORDER: 1}


def test_update_that_ends_before_it_begins_is_refused(gate: QualityGate) -> None:
    assert not gate.delta(delta(5, 4))
    assert gate.counters == {Rejection.SCHEMA: 1}


def test_duplicate_and_late_trades_are_told_apart(gate: QualityGate) -> None:
    for trade_id in (1, 2, 5):
        assert gate.trade(trade(trade_id), None)
    assert gate.missing_trades == 2
    assert not gate.trade(trade(5), None)
    assert not gate.trade(trade(1), None)
    assert not gate.trade(trade(3), None)
    assert gate.counters == {Rejection.DUPLICATE: 2, Rejection.OUT_OF_ORDER: 1}


@pytest.mark.parametrize("bad", [trade(1, price=0), trade(1, lots=0), trade(1, price=-5)])
def test_trade_of_nothing_is_refused(gate: QualityGate, bad: object) -> None:
    assert not gate.trade(bad, None)  # type: ignore[arg-type]  # parametrised
    assert gate.counters == {Rejection.NOT_POSITIVE: 1}


def test_trade_far_outside_a_fresh_quote_is_refused_but_not_outside_an_old_one(gate: QualityGate) -> None:
    assert gate.trade(trade(1, price=10_051), top(1))
    assert not gate.trade(trade(2, price=10_053), top(1))
    assert not gate.trade(trade(3, price=9_949), top(1))
    assert gate.counters == {Rejection.OUTSIDE_QUOTE: 2}
    assert gate.trade(trade(4, price=10_053, at=START + 3 * SECOND), top(1))


def test_old_trade_is_refused_by_the_estimated_clock_offset(gate: QualityGate) -> None:
    ahead = 1_300_000_000
    assert gate.trade(trade(1, at=START + ahead, recv=START), None)
    assert gate.clock.value == -ahead
    assert gate.trade(trade(2, at=START + ahead, recv=START + 5 * SECOND), None)
    assert not gate.trade(trade(3, at=START + ahead, recv=START + 5 * SECOND + 1), None)
    assert gate.counters == {Rejection.STALE: 1}


def test_lone_spike_is_refused_and_the_level_kept(gate: QualityGate) -> None:
    assert gate.trade(trade(1, price=10_000), None)
    assert gate.trade(trade(2, price=10_900), None) == ()
    back = trade(3, price=10_001)
    assert gate.trade(back, None) == (back,)
    assert gate.counters == {Rejection.SPIKE: 1}


def test_confirmed_jump_releases_all_of_it_in_order(gate: QualityGate) -> None:
    assert gate.trade(trade(1, price=10_000), None)
    jump = [trade(2, price=10_900), trade(3, price=10_901), trade(4, price=10_899)]
    assert [gate.trade(one, None) for one in jump] == [(), (), tuple(jump)]
    after = trade(5, price=10_902)
    assert gate.trade(after, None) == (after,)
    assert not gate.counters


def test_wild_jumps_do_not_confirm_each_other(gate: QualityGate) -> None:
    assert gate.trade(trade(1, price=10_000), None)
    for trade_id, price in enumerate((12_000, 8_000, 15_000, 6_000), start=2):
        assert gate.trade(trade(trade_id, price=price), None) == ()
    assert gate.counters[Rejection.SPIKE] == 2


def test_moves_within_the_usual_volatility_are_no_spikes(gate: QualityGate) -> None:
    price = 10_000
    for trade_id in range(1, 200):
        price += 40 if trade_id % 2 else -39
        assert gate.trade(trade(trade_id, price=price), None)
    large = trade(200, price=price + 100)
    assert gate.trade(large, None) == (large,)


def test_quote_spike_waits_for_confirmation(gate: QualityGate) -> None:
    first = top(1)
    assert gate.settle_top(first) is first
    assert gate.settle_top(top(2, bid=11_000, ask=11_002)) is None
    back = top(3)
    assert gate.settle_top(back) is back
    assert gate.counters == {Rejection.SPIKE: 1}


def test_session_break_forgets_ids_prices_and_clock(gate: QualityGate) -> None:
    assert gate.trade(trade(100, price=10_000), None)
    gate.reset()
    again = trade(1, price=20_000, at=START - 1000 * SECOND, recv=START)
    assert gate.trade(again, None) == (again,)
    assert not gate.counters


def test_reconnect_keeps_the_clock_offset(gate: QualityGate) -> None:
    assert gate.trade(trade(100, at=START, recv=START + 7), None)
    gate.reconnect()
    assert gate.clock.value == 7


def test_clock_offset_is_the_least_delay_of_the_last_windows() -> None:
    clock = ClockOffset(10)
    assert not clock.known
    assert clock.observe(0, 5) == 0
    assert clock.observe(0, 9) == 4
    assert clock.observe(10, 20) == 5
    assert clock.value == 5
    # Two windows later the old minimum is forgotten: a clock that drifts is followed.
    clock.observe(20, 31)
    clock.observe(30, 42)
    assert clock.value == 11

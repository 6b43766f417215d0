"""Reconnect delays and the request weight budget."""

import random

from hypothesis import given
from hypothesis import strategies as st

from workers.adapters.binance.limits import Backoff, WeightBudget
from workers.adapters.binance.rest_client import depth_weight


def test_first_attempt_is_immediate_then_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(random.Random(1), base_s=0.5, cap_s=30.0)
    ceilings = []
    for _ in range(9):
        ceilings.append(backoff.ceiling_s)
        assert 0.0 <= backoff.next_delay() <= ceilings[-1]
    assert ceilings == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    backoff.reset()
    assert backoff.next_delay() == 0.0


def test_delays_are_spread_over_the_whole_range() -> None:
    delays = []
    for seed in range(200):
        backoff = Backoff(random.Random(seed))
        backoff.failures = 3
        delays.append(backoff.next_delay())
    assert min(delays) < 0.2
    assert max(delays) > 1.8


def test_budget_holds_back_until_the_next_minute() -> None:
    budget = WeightBudget(100)
    assert budget.delay(50, 0.0) == 0.0
    budget.spend(50, 0.0)
    budget.spend(50, 1.0)
    assert budget.delay(1, 10.0) == 50.0
    assert budget.delay(1, 60.0) == 0.0
    budget.spend(1, 60.0)
    assert budget.used == 1


def test_the_venues_own_count_wins() -> None:
    budget = WeightBudget(100)
    budget.spend(5, 0.0)
    budget.observe(99)
    assert budget.delay(5, 0.0) == 60.0


def test_refusal_blocks_for_as_long_as_the_venue_says() -> None:
    budget = WeightBudget(100)
    budget.block(30.0, 5.0)
    budget.block(1.0, 6.0)
    assert budget.delay(1, 10.0) == 25.0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=60))
def test_never_more_than_the_limit_in_a_window(requests: list[tuple[float, int]]) -> None:
    budget, now = WeightBudget(100), 0.0
    for pause, weight in requests:
        now += pause
        while (delay := budget.delay(weight, now)) > 0.0:
            now += max(delay, 1e-6)
        budget.spend(weight, now)
        assert budget.used <= 100


def test_depth_weights() -> None:
    assert [depth_weight(limit) for limit in (5, 100, 500, 1000, 5000)] == [5, 5, 25, 50, 250]

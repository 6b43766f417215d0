"""What waits for a client: lossless topics lose nothing and keep their order, values are the newest, nothing grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.streaming.domain.envelopes import Envelope, envelope, upsert
from apps.streaming.domain.queues import ClientQueue, TooSlow

NOW = "2026-01-05T09:00:00+00:00"


def message(topic: str, key: str, seq: int, kind: str = "delta") -> Envelope:
    return envelope(topic=topic, kind=kind, seq=seq, ts=NOW, key=key, data={"seq": seq})


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.booleans())))
def test_events_all_arrive_in_order_and_values_are_the_newest(steps: list[tuple[bool, str, bool]]) -> None:
    queue = ClientQueue()
    sent: list[Envelope] = []
    events: list[int] = []
    newest: dict[str, int] = {}
    for seq, (lossless, key, drain) in enumerate(steps):
        if lossless:
            queue.add_event(message("orders", key, seq))
            events.append(seq)
        else:
            queue.add_value(message("pnl", key, seq))
            newest[key] = seq
        if drain:
            sent += queue.drain()
    sent += queue.drain()
    assert [m["seq"] for m in sent if m["topic"] == "orders"] == events
    last = {m["key"]: m["seq"] for m in sent if m["topic"] == "pnl"}
    assert last == newest
    assert len(queue) == 0


@given(st.lists(st.text(max_size=3), max_size=60))
def test_values_never_take_more_room_than_the_limit(keys: list[str]) -> None:
    queue = ClientQueue(conflated_limit=5)
    for seq, key in enumerate(keys):
        queue.add_value(message("pnl", key, seq))
        assert len(queue) <= 5
    kept = [m["seq"] for m in queue.drain()]
    assert kept == sorted(kept)
    if keys:
        assert kept[-1] == len(keys) - 1


def test_a_client_that_does_not_read_lossless_messages_is_told_so() -> None:
    queue = ClientQueue(lossless_limit=2)
    queue.add_event(message("orders", "a", 1))
    queue.add_event(message("orders", "a", 2))
    with pytest.raises(TooSlow):
        queue.add_event(message("orders", "a", 3))
    assert [m["seq"] for m in queue.drain()] == [1, 2]


versions = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9)), max_size=20)


@given(versions, st.randoms(use_true_random=False))
def test_late_and_repeated_events_change_nothing(rows: list[tuple[str, int]], chance: object) -> None:
    events = [
        envelope(topic="orders", kind="event", seq=i, ts=NOW, key=key, data={"key": key, "version": version})
        for i, (key, version) in enumerate(rows)
    ]
    in_order: dict[str, object] = {}
    for event in sorted(events, key=lambda e: e["data"]["version"]):
        in_order = upsert(in_order, event)
    shuffled = [*events, *events]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    state: dict[str, object] = {}
    for event in shuffled:
        state = upsert(state, event)
    assert state == in_order

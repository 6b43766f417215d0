"""Synchronisation of the depth stream with its snapshot: the exchange's rules one by one."""

from tests.support.market_events import delta, snapshot
from workers.engine.market.sync import DepthSync, Verdict


def test_updates_are_buffered_until_the_snapshot_and_ask_for_it() -> None:
    sync = DepthSync()
    assert not sync.wants_snapshot
    assert sync.on_delta(delta(1, 5)) is Verdict.BUFFERED
    assert sync.wants_snapshot
    assert sync.buffered == 1


def test_snapshot_drops_what_it_contains_and_returns_the_rest() -> None:
    sync = DepthSync()
    for first, last in ((1, 5), (6, 8), (9, 12)):
        sync.on_delta(delta(first, last))
    pending = sync.on_snapshot(snapshot(7))
    assert pending is not None
    assert [one.last_id for one in pending] == [8, 12]
    assert sync.synced
    assert not sync.wants_snapshot
    assert sync.on_delta(delta(13, 13)) is Verdict.APPLY


def test_snapshot_older_than_the_buffer_is_refused_and_another_wanted() -> None:
    sync = DepthSync()
    sync.on_delta(delta(10, 12))
    assert sync.on_snapshot(snapshot(8)) is None
    assert sync.wants_snapshot
    assert sync.on_snapshot(snapshot(9)) is not None


def test_first_update_after_the_snapshot_may_straddle_it_but_no_later_one() -> None:
    sync = DepthSync()
    sync.on_delta(delta(1, 5))
    assert sync.on_snapshot(snapshot(7)) == []
    assert sync.on_delta(delta(5, 6)) is Verdict.OLD
    assert sync.on_delta(delta(6, 9)) is Verdict.APPLY
    assert sync.on_delta(delta(9, 11)) is Verdict.GAP


def test_gap_starts_again_with_the_update_that_revealed_it() -> None:
    sync = DepthSync()
    sync.on_delta(delta(1, 5))
    sync.on_snapshot(snapshot(5))
    assert sync.on_delta(delta(7, 9)) is Verdict.GAP
    assert sync.gaps == 1
    assert not sync.synced
    assert sync.wants_snapshot
    assert sync.on_delta(delta(10, 11)) is Verdict.BUFFERED
    assert [one.last_id for one in sync.on_snapshot(snapshot(9)) or ()] == [11]


def test_repeated_update_is_old() -> None:
    sync = DepthSync()
    sync.on_snapshot(snapshot(5))
    assert sync.on_delta(delta(6, 9)) is Verdict.APPLY
    assert sync.on_delta(delta(6, 9)) is Verdict.OLD


def test_gap_inside_the_buffer_starts_the_buffer_again() -> None:
    sync = DepthSync()
    sync.on_delta(delta(1, 5))
    assert sync.on_delta(delta(3, 5)) is Verdict.OLD
    sync.on_delta(delta(8, 9))
    assert sync.buffered == 1
    assert sync.on_snapshot(snapshot(6)) is None


def test_unasked_snapshot_does_not_disturb_a_synchronised_book() -> None:
    sync = DepthSync()
    sync.on_snapshot(snapshot(5))
    assert sync.on_snapshot(snapshot(3)) is None
    assert sync.last_id == 5


def test_reset_forgets_everything() -> None:
    sync = DepthSync()
    sync.on_snapshot(snapshot(5))
    sync.reset()
    assert not sync.synced
    assert sync.on_delta(delta(1, 2)) is Verdict.BUFFERED

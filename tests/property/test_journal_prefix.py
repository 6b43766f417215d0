"""Whatever a crash leaves of the journal's file, what was written before it comes back, and writing goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.adapters.journal import Journal, Position, Tail, verify
from workers.engine.events import OrderAccepted

GROUPS = st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=6)


def accepted(number: int) -> OrderAccepted:
    return OrderAccepted(ts=number, client_id=f"c{number}", venue_order_id=str(number))


@settings(max_examples=60, deadline=None)
@given(groups=GROUPS, cut=st.integers(min_value=0, max_value=4000), tail=st.sampled_from([b"", b"\0" * 7, b'{"seq":']))
def test_any_cut_leaves_a_prefix_that_can_be_continued(groups: list[int], cut: int, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder)
        written = 0
        for size in groups:
            journal.append([accepted(written + i) for i in range(size)])
            journal.commit_now()
            written += size
        journal.close()
        (path,) = folder.glob("*.jsonl")
        data = path.read_bytes()[: max(len(path.read_bytes()) - cut, 0)]
        whole = data.count(b"\n")
        path.write_bytes(data + tail)
        again = Journal(folder)
        assert [record.event for record in again.recovered] == [accepted(i) for i in range(whole)]
        again.append([accepted(whole)])
        again.close()
        verdict = verify(folder)
        assert (verdict.ok, verdict.records) == (True, whole + 1)
        found = Tail(folder, Position()).read(1000)
        assert [record.event for record in found] == [accepted(i) for i in range(whole + 1)]


@settings(max_examples=60, deadline=None)
@given(groups=GROUPS, where=st.floats(min_value=0, max_value=1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_in_a_written_record_is_found(groups: list[int], where: float, flip: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder)
        journal.append([accepted(i) for i in range(sum(groups))])
        journal.close()
        (path,) = folder.glob("*.jsonl")
        data = bytearray(path.read_bytes())
        at = int(where * (len(data) - 1))
        data[at] ^= flip
        path.write_bytes(data)
        verdict = verify(folder)
        assert not verdict.ok or verdict.records < sum(groups)

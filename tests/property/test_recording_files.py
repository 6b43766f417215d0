"""Recordings: whatever is cut off the end, what is left reads to the last whole frame and can be written on."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.adapters.recording import (
    Header,
    RecordingDamaged,
    RecordingWriter,
    is_cut,
    is_marker,
    read_frames,
    read_header,
)

HEADER = Header(venue="paper", url="ws://127.0.0.1:1", start=1_700_000_000_000_000_000, key="btcusdt")
FRAMES = st.lists(st.tuples(st.integers(0, 3 * 10**9), st.binary(max_size=60)), min_size=1, max_size=30)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, frames: list[tuple[int, bytes]], *, start: int = HEADER.start) -> list[tuple[int, bytes]]:
    """Write frames with their gaps in ns; returns what was written."""
    path.unlink(missing_ok=True)
    writer = RecordingWriter(path, HEADER)
    at, done = start, []
    for gap, raw in frames:
        at += gap
        writer.append(at, raw)
        done.append((at, raw))
    writer.close()
    return done


def ours(path: Path) -> list[tuple[int, bytes]]:
    return [(at, raw) for at, raw in read_frames(path) if not is_marker(raw)]


@QUICK
@given(frames=FRAMES)
def test_every_byte_comes_back(tmp_path: Path, frames: list[tuple[int, bytes]]) -> None:
    path = tmp_path / "all.gz"
    done = [one for one in written(path, frames) if not is_marker(one[1])]
    assert ours(path) == done
    assert read_header(path) == HEADER
    assert not is_cut(path)


@QUICK
@given(frames=FRAMES, share=st.floats(0, 1))
def test_a_cut_file_reads_to_its_last_whole_frame_and_is_written_on(
    tmp_path: Path, frames: list[tuple[int, bytes]], share: float
) -> None:
    path = tmp_path / "cut.gz"
    done = written(path, frames)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * share))
    left = ours(path)
    assert left == done[: len(left)]
    again = RecordingWriter(path, HEADER)
    again.append(HEADER.start + 10**12, b"after")
    again.close()
    assert ours(path) == [*left, (HEADER.start + 10**12, b"after")]
    assert read_header(path) == HEADER


def test_other_tools_read_it(tmp_path: Path) -> None:
    path = tmp_path / "plain.gz"
    written(path, [(5, b'{"a":1}')])
    with gzip.open(path) as file:
        first, second = file.read().splitlines()
    assert first.startswith(b'1700000000000000000 {"gekko":{"venue":"paper"')
    assert second == b'1700000000000000005 {"a":1}'


def test_damage_in_the_middle_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.gz"
    written(path, [(2 * 10**9, b"x" * 50), (2 * 10**9, b"y" * 50)])
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(RecordingDamaged, match=r"bad\.gz"):
        list(read_frames(path))
    path.write_bytes(gzip.compress(b"one two\n1 2\n"))
    with pytest.raises(RecordingDamaged, match="expected '<ns> <frame>'"):
        read_header(path)

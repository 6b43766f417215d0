"""The execution journal on disk: durability in groups, chain, torn writes, one writer, tailing."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.adapters.journal import (
    Journal,
    JournalCorrupt,
    JournalLocked,
    JournalUnavailable,
    Position,
    Tail,
    segments,
    verify,
)
from workers.engine.events import FeedChanged, Marked, OrderAccepted, Record, SessionOpened
from workers.engine.vocabulary import FeedState


def accepted(number: int) -> OrderAccepted:
    return OrderAccepted(ts=number, client_id=f"c{number}", venue_order_id=str(number))


def opened(epoch: int) -> SessionOpened:
    return SessionOpened(ts=1, epoch=epoch, venue="v", worker="w", instruments=())


async def test_committed_records_come_back_in_order_with_numbers_and_hashes(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([opened(journal.epoch), accepted(1), accepted(2)])
    await journal.commit()
    position = journal.position
    journal.close()
    again = Journal(tmp_path)
    assert [record.seq for record in again.recovered] == [1, 2, 3]
    assert [record.event for record in again.recovered] == [opened(1), accepted(1), accepted(2)]
    assert again.position == position
    assert again.epoch == 2
    assert again.torn_bytes == 0
    again.close()


async def test_money_beyond_64_bits_survives(tmp_path: Path) -> None:
    mark = Marked(
        ts=1,
        equity=10**21 + 1,
        realised=-(10**20),
        unrealised=0,
        fees=0,
        cash=0,
        gross=0,
        drawdown=0,
        positions={},
        marks={},
    )
    journal = Journal(tmp_path)
    journal.append([mark])
    journal.close()
    again = Journal(tmp_path)
    assert again.recovered[0].event == mark
    again.close()


async def test_waiters_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    real = os.fdatasync
    calls: list[int] = []

    def fdatasync(descriptor: int) -> None:
        calls.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)

    async def one(number: int) -> None:
        journal.append([accepted(number)])
        await journal.commit()
        assert journal.durable_seq >= journal.position.seq - 50

    await asyncio.gather(*(one(number) for number in range(50)))
    assert journal.durable_seq == 50
    assert len(calls) <= 3
    journal.close()


async def test_commit_returns_only_when_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([accepted(1)])
    assert verify(tmp_path).records == 0
    await journal.commit()
    assert verify(tmp_path).records == 1
    journal.close()


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_last_line_is_cut_and_reported(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.append([accepted(1), accepted(2)])
    journal.close()
    (path,) = tmp_path.glob("*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    again = Journal(tmp_path)
    assert again.torn_bytes == len(data.splitlines(keepends=True)[1]) - cut
    assert [record.event for record in again.recovered] == [accepted(1)]
    again.append([accepted(3)])
    again.close()
    assert verify(tmp_path).ok


def test_a_hole_of_zeros_at_the_end_is_cut(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([accepted(1)])
    journal.close()
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b"\0" * 64 + b"\n")
    again = Journal(tmp_path)
    assert again.torn_bytes == 65
    again.close()


def _changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"c1"', b'"cX"'), *lines[2:]]


def _dropped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _garbage(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"not json\n", *lines[1:]]


@pytest.mark.parametrize("tamper", [_changed, _dropped, _swapped, _garbage])
def test_tampering_is_found_and_named(tmp_path: Path, tamper) -> None:
    journal = Journal(tmp_path)
    journal.append([accepted(number) for number in range(5)])
    journal.close()
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    verdict = verify(tmp_path)
    assert not verdict.ok
    assert verdict.problem.startswith(f"{path.name}:2:")
    with pytest.raises(JournalCorrupt, match=":2:"):
        Journal(tmp_path)


def test_a_second_writer_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    program = (
        "import sys, pathlib\n"
        "from workers.adapters.journal import Journal, JournalLocked\n"
        "try:\n    Journal(pathlib.Path(sys.argv[1]))\n"
        "except JournalLocked as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert f"process {os.getpid()}" in answer.stdout
    with pytest.raises(JournalLocked):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


async def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append([accepted(1)])
    await journal.commit()
    real, room = os.write, [150]

    def write(descriptor: int, data: memoryview) -> int:
        if not room:
            return real(descriptor, data)
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part, room[0] = data[: room[0]], 0
        return real(descriptor, part)

    monkeypatch.setattr(os, "write", write)
    journal.append([accepted(2), accepted(3)])
    with pytest.raises(JournalUnavailable, match="No space left"):
        await journal.commit()
    assert verify(tmp_path).ok
    room.clear()
    await journal.commit()
    assert journal.durable_seq == 3
    journal.close()
    assert verify(tmp_path).records == 3


async def test_segments_roll_and_the_chain_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=400)
    for number in range(10):
        journal.append([accepted(number)])
        await journal.commit()
    journal.close()
    assert len(segments(tmp_path)) > 2
    assert verify(tmp_path).records == 10
    again = Journal(tmp_path, segment_bytes=400)
    assert len(again.recovered) == 10
    again.close()


async def test_a_tail_follows_over_segments_and_starts_again_from_its_position(tmp_path: Path) -> None:
    tail = Tail(tmp_path, Position())
    assert tail.read(10) == []
    journal = Journal(tmp_path, segment_bytes=400)
    seen = []
    for number in range(10):
        journal.append([accepted(number)])
        await journal.commit()
        seen += tail.read(10)
    assert [record.event for record in seen] == [accepted(number) for number in range(10)]
    for cut in range(10):
        middle = Position(seen[cut].seq, seen[cut].hash)
        rest = Tail(tmp_path, middle)
        found: list[Record] = []
        while batch := rest.read(3):
            found += batch
        assert [record.seq for record in found] == list(range(cut + 2, 11))
    journal.close()


async def test_a_tail_refuses_a_journal_that_is_not_the_one_it_has_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([FeedChanged(ts=1, symbol="A", state=FeedState.LIVE, detail="")])
    journal.close()
    with pytest.raises(JournalCorrupt, match="another hash"):
        Tail(tmp_path, Position(1, "f" * 64)).read(1)

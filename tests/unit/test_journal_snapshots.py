"""Snapshots of the journal: used when they hold, refused with a reason when they do not, and never half written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.execution import within
from tests.support.kernels import LIMITS, Rig
from workers.adapters import snapshots
from workers.adapters.journal import Journal, JournalCorrupt, Start, locate, read, segments, verify
from workers.engine.events import JournalEvent, OrderAccepted
from workers.engine.folded import Folded
from workers.engine.vocabulary import Side
from workers.live.execution.snapshots import Snapshots, check, main, opened, take


def life() -> list[JournalEvent]:
    """A desk that traded a little."""
    rig = Rig().open(limits={**LIMITS, "max_open_orders": 100, "max_position": {"BTCUSDT": "50"}})
    for number in range(30):
        rig.top("BTCUSDT", 99_99, 100_01)
        client_id = rig.order("BTCUSDT", Side.BUY, 20_000 + number, 100_01)
        assert client_id is not None, rig.last_denial()
        rig.accept(client_id)
        if number % 3:
            rig.fill(client_id, 20_000 + number, 100_01, fee=number)
        rig.wait(0.5)
    return rig.journal


LIFE = life()


def write(folder: Path, events: list[JournalEvent], *, segment_bytes: int = 4_000) -> None:
    journal = Journal(folder, segment_bytes=segment_bytes)
    for event in events:
        journal.append([event])
        journal.commit_now()
    journal.close()


def known(journal: Journal) -> bytes:
    """What a start knows from the journal as it was opened."""
    folded = Folded.empty()
    if journal.start is not None:
        folded.restore(journal.start.state)
    for record in journal.recovered:
        folded.apply(record.event)
    return folded.dump()


def whole(folder: Path) -> bytes:
    folded = Folded.empty()
    for record in read(folder):
        folded.apply(record.event)
    return folded.dump()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal of several files, with a snapshot in the middle and one near its end."""
    for events in (LIFE[:40], LIFE[40:90]):
        write(tmp_path, events)
        take(tmp_path)
    write(tmp_path, LIFE[90:])
    assert [path.stem for path in snapshots.paths(tmp_path)] == [f"{90:016d}", f"{40:016d}"]
    assert len(segments(tmp_path)) > 5
    return tmp_path


def test_a_start_replays_what_is_behind_the_newest_snapshot(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in segments(folder)}
    journal = opened(folder)
    assert journal.start is not None
    assert journal.start.mark.seq == 90
    assert [record.seq for record in journal.recovered] == list(range(91, len(LIFE) + 1))
    assert known(journal) == whole(folder)
    assert journal.epoch == 2
    journal.append([OrderAccepted(ts=1, client_id="x", venue_order_id="1")])
    journal.close()
    assert verify(folder).records == len(LIFE) + 1
    assert all((folder / name).read_bytes().startswith(data) for name, data in before.items())


def test_any_place_of_the_journal_can_be_the_snapshots(tmp_path: Path) -> None:
    for count, event in enumerate(LIFE, 1):
        write(tmp_path, [event], segment_bytes=1_500)
        take(tmp_path)
        if count % 10 == 0:
            journal = opened(tmp_path)
            assert not journal.recovered
            assert journal.position.seq == count
            assert known(journal) == whole(tmp_path)
            journal.close()
    assert len(snapshots.paths(tmp_path)) == snapshots.KEPT


def refused_and_older_taken(folder: Path, why: str) -> None:
    found = snapshots.newest(folder)
    assert len(found.refused) == 1
    assert why in next(iter(found.refused.values()))
    assert found.start is not None
    assert found.start.mark.seq == 40
    journal = opened(folder)
    assert known(journal) == whole(folder)
    journal.close()


def test_a_snapshot_with_any_byte_changed_is_refused(folder: Path) -> None:
    newest = snapshots.paths(folder)[0]
    data = newest.read_bytes()
    for place in range(0, len(data), 97):
        newest.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(snapshots.SnapshotRefused):
            snapshots.load(newest)
    newest.write_bytes(data[:-1])
    refused_and_older_taken(folder, "damaged")
    newest.write_bytes(b"")
    refused_and_older_taken(folder, "cannot be read")


def test_a_snapshot_of_other_code_is_refused_and_the_whole_journal_replayed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "code_version", lambda: "other")
    why = "it was written by another version of the code"
    assert list(snapshots.newest(folder).refused.values()) == [why] * 2
    journal = opened(folder)
    assert journal.start is None
    assert len(journal.recovered) == len(LIFE)
    journal.close()


def test_a_snapshot_of_another_journal_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write(other, [msgspec.structs.replace(event, ts=event.ts + 1) for event in LIFE])
    (folder / snapshots.FOLDER).rename(other / snapshots.FOLDER)
    found = snapshots.newest(other)
    assert found.start is None
    assert ["not of this journal" in why for why in found.refused.values()] == [True, True]
    journal = opened(other)
    assert known(journal) == whole(other)
    journal.close()


def test_a_file_that_is_gone_is_noticed_although_a_snapshot_is_behind_it(folder: Path) -> None:
    segments(folder)[0].unlink()
    assert snapshots.newest(folder).start is None
    with pytest.raises(JournalCorrupt, match="expected seq 1"):
        opened(folder)


def test_a_journal_that_is_broken_behind_the_snapshot_is_not_opened(folder: Path) -> None:
    path = segments(folder)[-1]
    path.write_bytes(path.read_bytes().replace(b'"lots":20', b'"lots":21', 1))
    with pytest.raises(JournalCorrupt):
        opened(folder)


def test_a_kill_while_one_is_written_leaves_the_older_ones(folder: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from workers.live.execution import snapshots\n"
        "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "snapshots.take(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    assert (folder / snapshots.FOLDER / "next.new").stat().st_size
    assert [path.stem for path in snapshots.paths(folder)] == [f"{90:016d}", f"{40:016d}"]
    journal = opened(folder)
    assert journal.start is not None
    assert known(journal) == whole(folder)
    journal.close()
    take(folder)
    assert [int(path.stem) for path in snapshots.paths(folder)] == [len(LIFE), 90]
    assert not (folder / snapshots.FOLDER / "next.new").exists()


def test_one_that_cannot_be_used_does_not_take_the_place_of_one_that_can(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, older = snapshots.paths(folder)
    damaged.write_bytes(b"{}")
    take(folder)
    assert [int(path.stem) for path in snapshots.paths(folder)] == [len(LIFE), int(older.stem)]
    assert f"{damaged.name} is deleted: it cannot be read" in capsys.readouterr().err
    assert not snapshots.newest(folder).refused


def test_only_one_is_written_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_write", lambda *given: take(folder))
    with pytest.raises(BlockingIOError):
        take(folder)


def test_a_check_finds_a_state_that_the_journal_does_not_give(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "check"]) == 0
    start = snapshots.newest(folder).start
    assert isinstance(start, Start)
    start.state.books.cash += 1
    forged = Folded.empty()
    forged.restore(start.state)
    snapshots.write(folder, locate(folder, start.mark.position, 1), forged)
    assert check(folder) == "the snapshot at record 90 is not what the journal gives; delete it"
    assert main([str(folder), "check"]) == 1
    assert main([str(folder / "nothing")]) == 0, "a journal without records needs none"
    assert "ok: the newest" in capsys.readouterr().out


async def test_one_is_taken_beside_a_journal_that_grows(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keeper = Snapshots(journal, 50)
    keeper.start()
    journal.append(LIFE[:60])
    await journal.commit()
    await within(60, lambda: snapshots.paths(tmp_path))
    keeper.stop()
    journal.append(LIFE[60:])
    journal.close()
    again = opened(tmp_path)
    assert again.start is not None
    assert again.start.mark.seq == 60
    assert known(again) == whole(tmp_path)
    again.close()


async def test_one_that_cannot_be_taken_is_told_of_and_trading_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / snapshots.FOLDER).write_text("in the way")
    journal = Journal(tmp_path)
    keeper = Snapshots(journal, 50)
    keeper.start()
    journal.append(LIFE[:60])
    await journal.commit()
    await within(60, lambda: "no snapshot of the journal was taken" in caplog.text)
    keeper.stop()
    journal.close()
    assert "File exists" in caplog.text
    again = opened(tmp_path)
    assert len(again.recovered) == 60
    again.close()

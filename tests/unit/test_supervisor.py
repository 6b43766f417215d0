"""The supervisor: back-off, restarts, orphans, and what it refuses before it starts anything."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import redis

from controlplane.supervisor import main, preflight
from controlplane.supervisor.preflight import PreflightError
from controlplane.supervisor.process import LONGEST_DELAY_S, Supervised, end_orphans, next_delay
from controlplane.supervisor.silence import Silence, parse
from controlplane.supervisor.specs import Ports, ProcessSpec

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    preflight.prepare_folder(tmp_path)
    return tmp_path


def supervised(state: Path, command: tuple[str, ...], stop_seconds: float = 15) -> Supervised:
    return Supervised(ProcessSpec("part", command, lambda: True, stop_seconds=stop_seconds), state / "logs")


def test_delay_doubles_up_to_its_cap() -> None:
    delays = [next_delay(n) for n in range(1, 12)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_S


def test_a_process_that_ends_is_started_again_after_its_delay(state: Path) -> None:
    part = supervised(state, (sys.executable, "-c", "raise SystemExit(3)"))
    part.start()
    assert part.child is not None
    part.child.wait()
    now = time.monotonic()
    line = part.check(now)
    assert line is not None
    assert "part ended with 3; starting again in 0.5 s" in line
    assert part.check(now + 0.4) is None
    assert part.check(now + 0.6) == "part started again (restart 1)"
    assert part.child is not None
    part.child.wait()
    assert "in 1 s" in (part.check(time.monotonic()) or "")


def test_stop_reaches_a_process_that_is_stopped(state: Path) -> None:
    part = supervised(state, SLEEPER, stop_seconds=5)
    part.start()
    assert part.pid is not None
    os.kill(part.pid, signal.SIGSTOP)
    began = time.monotonic()
    part.stop()
    assert not part.alive()
    assert time.monotonic() - began < 5


def test_stop_kills_what_does_not_listen(state: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    part = supervised(state, (sys.executable, "-c", deaf), stop_seconds=0.3)
    part.start()
    while "deaf" not in part.tail():
        time.sleep(0.02)
    part.stop()
    assert part.child is not None
    assert part.child.returncode == -signal.SIGKILL


def test_orphans_of_an_earlier_run_are_ended_but_never_a_stranger(state: Path) -> None:
    orphan = subprocess.Popen(SLEEPER)
    stranger = subprocess.Popen(SLEEPER)
    preflight.record_children(state, {"orphan": orphan.pid, "stranger": stranger.pid})
    recorded = preflight.recorded_children(state)
    # The stranger has the pid that was written down, but was started at another time.
    recorded["stranger"]["created"] -= 100
    try:
        # Somebody must reap the child: here that is we, in real life it is init.
        threading.Thread(target=orphan.wait, daemon=True).start()
        assert end_orphans(recorded) == ["orphan"]
        orphan.wait(5)
        assert orphan.poll() is not None
        assert psutil.Process(stranger.pid).is_running()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_torn_list_of_children_is_no_reason_to_fail(state: Path) -> None:
    (state / "run" / "processes.json").write_text('{"web": {"pid": 1')
    assert preflight.recorded_children(state) == {}


def test_the_folder_is_held_by_one_supervisor(state: Path) -> None:
    already = pytest.raises(PreflightError, match=f"already runs from {state} \\(process {os.getpid()}\\)")
    with preflight.take_lock(state), already:
        preflight.take_lock(state)
    preflight.take_lock(state).close()


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PreflightError) as refused:
            preflight.check_ports(Ports(web=port, venue=1, valkey=2, metrics=3))
    assert f"port {port} is in use, and the web needs it" in str(refused.value)
    assert "GEKKO_WEB_PORT=<port> make up" in str(refused.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match=r"cannot write to .*Set GEKKO_STATE_DIR"):
        preflight.prepare_folder(tmp_path / "file" / "state")


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "DISK_NEEDED_BYTES", 2**60)
    with pytest.raises(PreflightError, match="MiB free on the disk"):
        preflight.prepare_folder(tmp_path)


class Watch:
    """Heartbeats as the supervisor reads them, one look per second."""

    def __init__(self) -> None:
        self.silence = Silence()
        self.now = 1000.0
        self.beats: dict[str, tuple[int, float]] = {}

    def look(self, *beating: str, seconds: int = 1, alive: dict[str, int] | None = None) -> dict[str, float]:
        silent: dict[str, float] = {}
        for _ in range(seconds):
            self.now += 1
            for name in ("supervisor", *beating):
                self.beats[name] = (7, self.now)
            silent = self.silence.judge(self.now, {"control": 7, "web": 7} if alive is None else alive, self.beats)
        return silent


def test_a_steady_process_that_falls_silent_is_found_after_twenty_seconds() -> None:
    watch = Watch()
    watch.look("control", "web", seconds=40)
    assert watch.look("web", seconds=20) == {}
    assert watch.look("web") == {"control": 21.0}


def test_the_pauses_of_a_few_seconds_and_of_a_start_are_no_silence() -> None:
    watch = Watch()
    watch.look("control", seconds=40)
    assert watch.look(seconds=19) == {}
    assert watch.look("control", seconds=5) == {}
    fresh = Watch()
    fresh.look("control", seconds=10)
    assert fresh.look(seconds=60) == {}, "it had only just started"


def test_who_slept_itself_starts_the_clocks_anew() -> None:
    watch = Watch()
    watch.look("control", "web", seconds=40)
    watch.now += 600
    assert watch.look(seconds=21) == {}
    assert set(watch.look(seconds=1)) == {"control", "web"}


def test_nobody_is_silent_while_valkey_is_down_or_has_just_come_back() -> None:
    watch = Watch()
    watch.look("control", "web", seconds=40)
    for _ in range(60):
        watch.now += 1
        assert watch.silence.judge(watch.now, {"control": 7, "web": 7}, None) == {}
    watch.beats.clear()
    assert watch.silence.judge(watch.now, {"control": 7, "web": 7}, {}) == {}, "it came back empty"
    assert watch.look("web", seconds=15) == {}


def test_a_heartbeat_that_was_taken_away_or_of_another_process_is_not_judged() -> None:
    watch = Watch()
    watch.look("control", "web", seconds=40)
    del watch.beats["control"]
    assert watch.look("web", seconds=30) == {}
    watch.look("control", "web", seconds=40)
    assert watch.look("web", seconds=30, alive={"control": 8, "web": 7}) == {}, "a new one has not shown itself yet"
    assert watch.look("web", seconds=30, alive={"web": 7}) == {}


def test_a_process_without_heartbeats_is_asked_every_other_second(state: Path) -> None:
    answers = iter((True, False))
    asked = Supervised(ProcessSpec("store", SLEEPER, lambda: next(answers), probed=True), state / "logs")
    asked.start()
    try:
        for now in (100.0, 101.0, 102.0):
            asked.probe(now)
        assert asked.status()["answered_at"] == 100.0
        assert list(answers) == []
        told = supervised(state, SLEEPER)
        told.probe(100.0)
        assert told.status()["answered_at"] is None
    finally:
        asked.stop()


def test_what_is_no_heartbeat_is_passed_over() -> None:
    raw = {b"a": b"{not json", b"b": b'{"pid": 1}', b"c": b"[]", b"d": b'{"pid": 1, "ts": 2}'}
    assert parse(raw) == {"d": (1, 2.0)}


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, line: str) -> None:
        self.lines.append(line)


def test_the_supervisor_kills_a_stopped_process_and_starts_it_again(
    state: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen: Any = Screen()
    supervisor = main.Supervisor(state, Ports(1, 2, 3, 4), screen)
    part = supervised(state, SLEEPER)
    part.start()
    supervisor.running.append(part)
    first = part.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    clock = [1000.0]
    monkeypatch.setattr(main, "time", SimpleNamespace(monotonic=lambda: clock[0], time=lambda: clock[0]))
    try:
        with redis.Redis.from_url(valkey_url) as client:
            for second in range(61):
                clock[0] += 1
                if second < 40:
                    client.hset("gekko:heartbeat", "part", f'{{"pid": {first}, "ts": {clock[0]}}}')
                supervisor._heartbeat()
            client.delete("gekko:heartbeat")
        assert screen.lines == ["part showed no sign of life for 21 s and was killed"]
        assert part.child is not None
        assert part.child.wait(5) == -signal.SIGKILL
        assert "part ended with -9; starting again in 0.5 s" in (part.check(clock[0]) or "")
        assert part.check(clock[0] + 1) == "part started again (restart 1)"
        assert part.pid != first
    finally:
        if part.child is not None:
            part.child.kill()
            part.child.wait()

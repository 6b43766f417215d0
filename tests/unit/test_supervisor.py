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

import psutil
import pytest

from controlplane.supervisor import preflight
from controlplane.supervisor.preflight import PreflightError
from controlplane.supervisor.process import LONGEST_DELAY_S, Supervised, end_orphans, next_delay
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

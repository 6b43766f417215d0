"""The whole stack for tests: ``gekko up`` in a folder of its own, with hands to hurt its processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

T = TypeVar("T")


def free_port_block(size: int) -> int:
    """The first of ``size`` neighbouring ports that nobody uses."""
    for base in range(21_000, 30_000, size):
        sockets = []
        try:
            for port in range(base, base + size):
                probe = socket.socket()
                sockets.append(probe)
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
        return base
    raise RuntimeError(f"no {size} neighbouring free ports")


def eventually(check: Callable[[], T], what: str, seconds: float = 60, every: float = 0.25) -> T:
    """Wait until ``check`` returns something true, and return it; exceptions of a part that is down count as false."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except (httpx.HTTPError, OSError, KeyError, ValueError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}; last seen: {last!r}")


@dataclass
class Stack:
    """A running installation; every path and port belongs to this test alone."""

    state: Path
    extra: dict[str, str] = field(default_factory=dict)
    base: int = 0
    supervisor: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.base = self.base or free_port_block(10)

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    @property
    def venue_url(self) -> str:
        return f"http://127.0.0.1:{self.base + 1}"

    def metrics_url(self, name: str) -> str:
        offset = {"control": 0, "gpu": 1, "execution": 2, "projector": 3, "relay": 4}[name]
        return f"http://127.0.0.1:{self.base + 3 + offset}/metrics"

    @property
    def credentials_path(self) -> Path:
        return self.state / "credentials.json"

    @property
    def fault_token(self) -> str:
        return "fault-token-of-this-test"

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GEKKO_", "DJANGO_"))}
        data = {"GEKKO_DATA": os.environ["GEKKO_DATA"]} if "GEKKO_DATA" in os.environ else {}
        return {
            **clean,
            **data,
            "GEKKO_STATE_DIR": str(self.state),
            "GEKKO_WEB_PORT": str(self.base),
            "GEKKO_VENUE_PORT": str(self.base + 1),
            "GEKKO_VALKEY_PORT": str(self.base + 2),
            "GEKKO_METRICS_BASE": str(self.base + 3),
            "GEKKO_VENUE_FAULT_TOKEN": self.fault_token,
            **self.extra,
        }

    def start(self, seconds: float = 240) -> None:
        """``gekko up``, until the screen is printed; the output is in ``up.log``."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o755)
        log = self.state / "up.log"
        started = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "controlplane.cli", "up", "--credentials-file", str(self.credentials_path)],
                env=self.environment(),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

        def up() -> bool:
            if self.supervisor is not None and self.supervisor.poll() is not None:
                raise AssertionError(f"gekko up ended with {self.supervisor.returncode}:\n{log.read_text()[-4000:]}")
            return "Gekko is up" in log.read_bytes()[started:].decode(errors="replace")

        eventually(up, "gekko up printed its screen", seconds)

    def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        if self.supervisor is None:
            return 0
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGINT)
            try:
                self.supervisor.wait(120)
            except subprocess.TimeoutExpired:
                self.kill_everything()
                raise
        return int(self.supervisor.returncode)

    def kill_everything(self) -> None:
        """SIGKILL the supervisor and all its processes, as a power cut would."""
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()
        for identity in self.processes().values():
            for process in self._tree(int(identity["pid"])):
                process.kill()

    @staticmethod
    def _tree(pid: int) -> list[psutil.Process]:
        try:
            process = psutil.Process(pid)
            return [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            return []

    def processes(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = json.loads((self.state / "run" / "processes.json").read_text())
        return found

    def pid(self, name: str) -> int:
        return int(self.processes()[name]["pid"])

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send ``number`` to the process and its children; returns the pid that was hit."""
        pid = self.pid(name)
        for process in self._tree(pid):
            process.send_signal(number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, seconds: float = 60) -> int:
        def fresh() -> int:
            pid = self.pid(name)
            return pid if pid != old_pid and psutil.pid_exists(pid) else 0

        return eventually(fresh, f"{name} started again", seconds)

    def credentials(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.credentials_path.read_text())
        return found

    def truth(self) -> dict[str, Any]:
        """The venue's own log: orders, trades and balances."""
        answer = httpx.get(f"{self.venue_url}/_truth", headers={"X-Fault-Token": self.fault_token}, timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, **what: Any) -> None:
        answer = httpx.post(
            f"{self.venue_url}/_fault", json=what, headers={"X-Fault-Token": self.fault_token}, timeout=10
        )
        answer.raise_for_status()

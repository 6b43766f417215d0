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

from controlplane.environment import ROOT

T = TypeVar("T")

# The first ports are below those that the kernel gives to outgoing connections.
FIRST_PORT, LAST_PORT, PORTS = 21_000, 30_000, 10
STRATEGIES = Path(__file__).parent / "strategies"
"""Strategies for tests alone."""
METRICS = ("control", "gpu", "execution", "projector", "relay", "backtest")


def free_port_block(size: int) -> int:
    """The first of ``size`` neighbouring ports that nobody uses."""
    for base in range(FIRST_PORT, LAST_PORT, size):
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
    while True:
        try:
            if answer := check():
                return answer
            last = answer
        except (httpx.HTTPError, OSError, KeyError, ValueError, psutil.Error) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}; last seen: {last!r}")
        time.sleep(every)


@dataclass
class Stack:
    """A running installation; every path and port belongs to this test alone."""

    state: Path
    extra: dict[str, str] = field(default_factory=dict)
    base: int = 0
    supervisor: subprocess.Popen[bytes] | None = None
    screen: str = ""
    """What the newest start wrote to the terminal."""

    def __post_init__(self) -> None:
        self.base = self.base or free_port_block(PORTS)

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    @property
    def venue_url(self) -> str:
        return f"http://127.0.0.1:{self.base + 1}"

    @property
    def process_urls(self) -> dict[str, str]:
        """Where every process that has one shows its health and metrics."""
        metrics = {name: f"http://127.0.0.1:{self.base + 3 + offset}" for offset, name in enumerate(METRICS)}
        return {"web": self.web_url, "venue": self.venue_url, **metrics}

    @property
    def credentials_path(self) -> Path:
        return self.state / "credentials.json"

    @property
    def log_path(self) -> Path:
        """What ``gekko up`` wrote to its terminal, over all its starts."""
        return self.state / "up.log"

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

    # -- life

    def command(self, *words: str) -> list[str]:
        """The command line of ``gekko`` in this environment."""
        return [sys.executable, "-m", "controlplane.cli", *words]

    def run(self, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A ``gekko`` command, to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, seconds: float = 240) -> str:
        """``gekko up``, until the screen is printed; returns what it wrote."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o755)
        written = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as out:
            self.supervisor = supervisor = subprocess.Popen(
                self.command("up", "--credentials-file", str(self.credentials_path)),
                cwd=ROOT,
                env=self.environment(),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

        def screen() -> str:
            text = self.log_path.read_bytes()[written:].decode(errors="replace")
            if supervisor.poll() is not None:
                raise AssertionError(f"gekko up ended with {supervisor.returncode}:\n{text[-4000:]}")
            return text if "Gekko is up" in text else ""

        self.screen = eventually(screen, "gekko up printed its screen", seconds)
        return self.screen

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

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor alone; its processes go on without it."""
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()

    def kill_everything(self) -> None:
        """SIGKILL the supervisor and all its processes, as a power cut would."""
        self.kill_supervisor()
        killed = [process for identity in self.processes().values() for process in _tree(int(identity["pid"]))]
        for process in killed:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(killed, timeout=10)

    # -- processes

    def processes(self) -> dict[str, dict[str, float]]:
        """Name to pid and start time, as the supervisor wrote them down."""
        try:
            found: dict[str, dict[str, float]] = json.loads((self.state / "run" / "processes.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def pid(self, name: str) -> int:
        """The process as it runs now; one that is between its end and its restart is waited for."""
        return eventually(lambda: self._recorded(name), f"{name} runs")

    def _recorded(self, name: str) -> int:
        return int(self.processes()[name]["pid"])

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send ``number`` to the process and its children; returns the pid that was hit."""
        pid = self.pid(name)
        for process in _tree(pid):
            _send(process, number)
        return pid

    def kill(self, name: str) -> int:
        """SIGKILL, once the process runs; returns the pid that was hit."""
        eventually(lambda: name in self.processes() and psutil.pid_exists(self.pid(name)), f"{name} runs", 60)
        return self.signal(name, signal.SIGKILL)

    def wait_restarted(self, name: str, old_pid: int, seconds: float = 90) -> int:
        """Wait until the supervisor started the process again and it answers; returns its pid."""

        def fresh() -> int:
            pid = self._recorded(name)
            return pid if pid != old_pid and psutil.pid_exists(pid) and self.healthy(name) else 0

        return eventually(fresh, f"{name} started again", seconds)

    def healthy(self, name: str) -> bool:
        """True when the process says that it is well; of storage nobody asks here."""
        url = self.process_urls.get(name)
        return url is None or httpx.get(f"{url}/healthz", timeout=2).status_code == 200

    # -- evidence

    def credentials(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.credentials_path.read_text())
        return found

    def secrets(self) -> list[str]:
        """Everything that nobody may read in a log: the operator's credentials and the installation's secrets."""
        told = self.credentials()
        found = [told["password"], told["totp_secret"], *told["recovery_codes"]]
        for path in (self.state / "secrets").iterdir():
            content = path.read_bytes()
            if content.isascii() and b"\n" not in content.strip():
                found.append(content.decode().strip())
        return found

    def leaks(self) -> list[str]:
        """Logs that hold a secret; the terminal, which shows the credentials once, is none."""
        logs = sorted((self.state / "logs").iterdir())
        texts = {path.name: path.read_text(errors="replace") for path in logs}
        return [name for name, text in texts.items() if any(secret in text for secret in self.secrets())]

    def truth(self) -> dict[str, Any]:
        """The venue's own log: orders, trades and balances."""
        answer = httpx.get(f"{self.venue_url}/_truth", headers={"X-Fault-Token": self.fault_token}, timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, **what: Any) -> dict[str, Any]:
        """Make the venue misbehave; answers what is left of all misbehaviour."""
        answer = httpx.post(
            f"{self.venue_url}/_fault", json=what, headers={"X-Fault-Token": self.fault_token}, timeout=10
        )
        answer.raise_for_status()
        left: dict[str, Any] = answer.json()
        return left


def _send(process: psutil.Process, number: signal.Signals) -> None:
    """A process that ended in the meantime needs no signal."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []

"""One supervised process: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from controlplane.embedded.postgres import run_as
from controlplane.supervisor.specs import ProcessSpec, child_environment

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_AFTER_S = 30.0
LOG_LIMIT_BYTES = 20 * 1024 * 1024
PROBE_S = 2.0
"""How often a process without heartbeats of its own is asked whether it answers."""


def next_delay(failures: int) -> float:
    """Seconds to wait before the restart after ``failures`` failures in a row (1-based): doubling, capped."""
    return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (failures - 1)))


@dataclass
class Supervised:
    """The life of one process across its restarts; ``log_folder`` receives its output."""

    spec: ProcessSpec
    log_folder: Path
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    failures: int = 0
    last_exit: int | None = None
    restart_at: float = 0.0
    answered_at: float | None = None
    """When it last answered the supervisor, Unix seconds."""
    _probed_at: float = 0.0
    ready: bool = field(default=False)
    _asked: subprocess.Popen[bytes] | None = None
    """What was asked to end; asked twice, some programs leave their work behind."""

    @property
    def log_path(self) -> Path:
        return self.log_folder / f"{self.spec.name}.log"

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child else None

    def start(self) -> None:
        """Start the process; its output is appended to its log, the previous log being kept once when large."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.child = subprocess.Popen(
                self.spec.command,
                cwd=self.spec.cwd,
                env=child_environment(self.spec.name, self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the supervisor, which stops the processes in order.
                start_new_session=True,
                **run_as(self.spec.user),
            )
        self.started_at = time.monotonic()
        self.ready = False

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def check(self, now: float) -> str | None:
        """Notice an end, restart when due; returns a line for the operator when something happened."""
        if self.child is None:
            if now < self.restart_at:
                return None
            self.start()
            self.restarts += 1
            return f"{self.spec.name} started again (restart {self.restarts})"
        code = self.child.poll()
        if code is None:
            if self.failures and now - self.started_at > STEADY_AFTER_S:
                self.failures = 0
            return None
        self.child, self.last_exit, self.ready = None, code, False
        self.failures += 1
        delay = next_delay(self.failures)
        self.restart_at = now + delay
        return f"{self.spec.name} ended with {code}; starting again in {delay:g} s (log: {self.log_path})"

    def ask_to_stop(self) -> None:
        """Ask the process to end, once; ``stop`` waits for it."""
        if self.child is None or self.child is self._asked or self.child.poll() is not None:
            return
        self._asked = self.child
        # A stopped process cannot hear: let it go on so that it can end.
        self.child.send_signal(signal.SIGCONT)
        self.child.send_signal(self.spec.stop_signal)

    def stop(self) -> None:
        """Ask the process to end, wait, and kill what does not listen."""
        if self.child is None:
            return
        self.ask_to_stop()
        try:
            self.child.wait(self.spec.stop_seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def kill(self) -> None:
        """End a process that cannot be asked; ``check`` notices and starts it again."""
        if self.child is not None:
            self.child.kill()

    def tail(self, lines: int = 3) -> str:
        """The last lines of its log, for an error message."""
        try:
            text = self.log_path.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def status(self) -> dict[str, Any]:
        """What the heartbeat says of it; ``answered_at`` is null for a process that writes heartbeats of its own."""
        return {
            "pid": self.pid,
            "alive": self.alive(),
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "answered_at": self.answered_at,
        }

    def probe(self, now: float) -> None:
        """Ask a process that tells nothing of itself, at most every other second."""
        if self.spec.probed and now - self._probed_at >= PROBE_S:
            self._probed_at = now
            if self.alive() and self.spec.ready():
                self.answered_at = now


def end_orphans(recorded: dict[str, dict[str, float]]) -> list[str]:
    """End processes that an earlier supervisor left behind; identity is pid and start time, so no stranger is hit."""
    ended: list[psutil.Process] = []
    names = []
    for name, identity in recorded.items():
        try:
            process = psutil.Process(int(identity["pid"]))
            if abs(process.create_time() - identity["created"]) > 1:
                continue
            # PostgreSQL ends fast on SIGINT and waits for its clients on SIGTERM.
            process.send_signal(2 if name == "postgres" else 15)
        except psutil.NoSuchProcess:
            continue
        ended.append(process)
        names.append(name)
    _, alive = psutil.wait_procs(ended, timeout=20)
    for process in alive:
        process.kill()
    return names

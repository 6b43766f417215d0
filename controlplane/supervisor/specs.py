"""Which processes there are, how each is started, when it is ready, and how it is stopped."""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.embedded import postgres, valkey
from controlplane.environment import ROOT

CELERY = (sys.executable, "-m", "celery", "-A", "controlplane", "worker", "--loglevel", "INFO", "--without-gossip",
          "--without-mingle")  # fmt: skip


@dataclass(frozen=True)
class ProcessSpec:
    """One supervised process; ``stop_signal`` asks it to end, SIGKILL follows after ``stop_seconds``.

    ``probed`` is one that tells nobody that it lives: the supervisor asks it.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15
    ready_seconds: float = 90
    user: str | None = None
    cwd: Path = ROOT
    probed: bool = False


@dataclass(frozen=True)
class Ports:
    """Every TCP port that the stack listens on, all on loopback."""

    web: int
    venue: int
    valkey: int
    metrics: int

    def metrics_of(self, name: str) -> int:
        return self.metrics + METRICS_OFFSETS[name]

    def named(self) -> dict[str, tuple[str, int]]:
        """What listens, by which variable it is moved, and where."""
        fixed = {
            "web": ("GEKKO_WEB_PORT", self.web),
            "paper venue": ("GEKKO_VENUE_PORT", self.venue),
            "Valkey": ("GEKKO_VALKEY_PORT", self.valkey),
        }
        metrics = {f"metrics of {name}": ("GEKKO_METRICS_BASE", self.metrics_of(name)) for name in METRICS_OFFSETS}
        return fixed | metrics


PAPER_FEES = {"GEKKO_VENUE_MAKER_FEE": "0", "GEKKO_VENUE_TAKER_FEE": "0.0001"}
# Checked once while preparing: a worker that checks too loads every page of the dashboard for it.
SKIP_CHECKS = {"CELERY_SKIP_CHECKS": "1"}
CONTROL_PARTS = "controlplane.control_worker,workers.tasks.risk,workers.tasks.portfolio"
METRICS_OFFSETS = {"control": 0, "gpu": 1, "execution": 2, "projector": 3, "relay": 4, "backtest": 5}


def http_ready(url: str) -> Callable[[], bool]:
    def check() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return check


def port_in_use(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def postgres_spec(paths: postgres.PostgresPaths) -> ProcessSpec:
    return ProcessSpec(
        "postgres",
        tuple(postgres.server_command(paths)),
        lambda: postgres.is_ready(paths),
        stop_signal=signal.SIGINT,
        stop_seconds=30,
        user=paths.user,
        cwd=paths.data,
        probed=True,
    )


def valkey_spec(paths: valkey.ValkeyPaths) -> ProcessSpec:
    return ProcessSpec("valkey", tuple(valkey.server_command(paths)), lambda: valkey.is_ready(paths), probed=True)


def application_specs(ports: Ports) -> list[ProcessSpec]:
    """Everything but storage, in starting order."""
    python = sys.executable

    def metrics(name: str) -> tuple[dict[str, str], Callable[[], bool]]:
        port = ports.metrics_of(name)
        return {"GEKKO_METRICS_PORT": str(port)}, http_ready(f"http://127.0.0.1:{port}/healthz")

    def worker(name: str, queue: str, *options: str, stop_seconds: float = 20) -> ProcessSpec:
        environment, ready = metrics(name)
        command = (*CELERY, "-Q", queue, "-n", f"{name}@%h", *options)
        return ProcessSpec(name, command, ready, environment | SKIP_CHECKS, stop_seconds=stop_seconds)

    def module(name: str, target: str) -> ProcessSpec:
        environment, ready = metrics(name)
        return ProcessSpec(name, (python, "-m", target), ready, environment)

    uvicorn = (python, "-m", "uvicorn", "controlplane.asgi:application", "--host", "127.0.0.1", "--port",
               str(ports.web), "--no-access-log", "--timeout-graceful-shutdown", "5", "--ws", "websockets-sansio",
               "--lifespan", "off")  # fmt: skip
    return [
        ProcessSpec(
            "venue",
            (python, "-m", "workers.live.paper_venue"),
            http_ready(f"http://127.0.0.1:{ports.venue}/healthz"),
            {name: os.environ.get(name, fee) for name, fee in PAPER_FEES.items()},
        ),
        worker("gpu", "gpu", "--pool", "threads", "-c", "2", "-I", "workers.live.gpu_worker"),
        worker("control", "control", "--pool", "threads", "-c", "4", "-B", "-I", CONTROL_PARTS),
        ProcessSpec("web", uvicorn, http_ready(f"http://127.0.0.1:{ports.web}/healthz")),
        module("relay", "apps.streaming.relay"),
        module("projector", "workers.live.projector"),
        worker("backtest", "backtest", "--pool", "prefork", "-c", "2", "-I", "workers.live.backtest_worker"),
        worker("execution", "execution", "--pool", "threads", "-c", "2", "-I", "workers.live.execution.worker"),
    ]


def child_environment(name: str, extra: Mapping[str, str]) -> dict[str, str]:
    single_threaded = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **single_threaded, **extra, "GEKKO_PROCESS": name, "PYTHONUNBUFFERED": "1"}

"""What the fault benchmark kills: a paper venue, and an execution worker without Celery, Redis and PostgreSQL.

The worker is the real one from its host on: a thread with the trading loop, the journal, and the calls into it. What is
wanted comes from a file, as it comes from the control plane's tables elsewhere.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from controlplane.logs import configure
from tests.support.execution import LIMITS_PUBLIC
from tests.support.strategies import working
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.control import Desired
from workers.live.execution.host import LoopHost
from workers.live.paper_venue.config import VenueConfig
from workers.live.paper_venue.server import run

LOOK_S: Final = 0.1
SNAPSHOT_EVERY: Final = 1_000
STRATEGY: Final = working.Working.name


class Silence:
    """Neither forecasts nor screens: what the loop asks for and shows goes nowhere."""

    def ask(self, *, as_of: int, interval_ns: int, model_digest: str, closes: dict[str, list[float]]) -> str:
        return ""

    def put(self, topic: str, key: str, data: Any) -> None:
        return


def log_to(path: Path) -> None:
    """Both outputs of this process go to the end of ``path``."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)


def venue(config: VenueConfig, log: Path) -> None:
    """Play the venue until SIGTERM."""
    log_to(log)
    run(config)


def worker(config: LoopConfig, wanted: Path, log: Path) -> None:
    """Trade until SIGTERM, or until the loop breaks."""
    log_to(log)
    configure({"process": "execution", "level": "WARNING"})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    host, silence = LoopHost(config), Silence()
    host.start(silence, silence)
    decoder = msgspec.json.Decoder(Desired)
    while not stop.wait(LOOK_S):
        seen = decoder.decode(wanted.read_bytes())
        host.take_desired(msgspec.structs.replace(seen, looked=time.monotonic_ns()))
    host.stop()
    if host.failure:
        raise SystemExit(host.failure)


def worker_config(folder: Path, url: str, others: Mapping[str, tuple[str, str]]) -> LoopConfig:
    """Quicker to ask again than in production; everything else as there. ``others``: (address, code) by venue."""
    key, secret = "paper-key", "paper-secret"
    return LoopConfig(
        venue="paper",
        worker="execution",
        journal_dir=folder,
        venue_url=url,
        others=tuple(
            VenueAccess(name=name, url=at, code=code, api_key=key, api_secret=secret)
            for name, (at, code) in others.items()
        ),
        api_key=key,
        api_secret=secret,
        limits_key=LIMITS_PUBLIC,
        order_timeout_s=1.0,
        retry_s=0.2,
        resolve_after_s=2.0,
        reconcile_every_s=5.0,
        snapshot_every=SNAPSHOT_EVERY,
    )

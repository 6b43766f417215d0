"""The trading loop's home inside the execution worker: a thread with uvloop, and the bridges to it.

The thread's life is the worker's: when the loop breaks, the worker ends, and the supervisor starts a new one that
recovers from the journal. A half-working worker would be worse than none.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import structlog
import uvloop

from workers.adapters.forecast_client import Reply
from workers.live.execution.config import LoopConfig
from workers.live.execution.control import Control, Desired
from workers.live.execution.loop import ForecastAsker, TradingLoop
from workers.live.execution.publish import Bus, Publisher, status
from workers.live.execution.snapshots import Snapshots, opened

SWITCH_INTERVAL_S: Final = 0.0005
"""How long another thread may keep the interpreter from the loop; Python's default is 5 ms."""
STALLED_S: Final = 3.0
STOP_S: Final = 15.0

log = structlog.get_logger(__name__)
T = TypeVar("T")


class NotReady(RuntimeError):
    """The loop cannot answer now; the message says in which phase it is."""


class LoopHost:
    """Starts the loop, hands calls over to it, and stops it. ``start`` raises JournalError when it cannot have it."""

    def __init__(self, config: LoopConfig) -> None:
        self.config = config
        self._thread = threading.Thread(target=self._main, name="trading", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._running = threading.Event()
        self.trading: TradingLoop | None = None
        self.control: Control | None = None
        self.failure = ""

    def start(self, forecasts: ForecastAsker, bus: Bus) -> None:
        """Take the journal and begin; returns when the thread runs, before the venue has answered."""
        self._forecasts, self._bus = forecasts, bus
        self.journal = opened(self.config.journal_dir)
        self._snapshots = Snapshots(self.journal, self.config.snapshot_every)
        self._snapshots.start()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()
        self._running.wait()

    def stop(self) -> None:
        """End cleanly: cancel what rests, wait for answers, close the journal."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            # A loop that broke closes itself while its thread still ends.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)

    def _main(self) -> None:
        _ask_for_real_time()
        try:
            uvloop.run(self._run())
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            log.exception("the trading loop broke; ending this worker so that a new one recovers")
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._running.set()
            self._snapshots.stop()
            self.journal.close()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.trading = trading = TradingLoop(self.config, self.journal, self._forecasts)
        self.control = Control(trading)
        self._running.set()
        publishing = asyncio.create_task(Publisher(trading, self._bus).run())
        freezing = asyncio.create_task(_freeze_when_ready(trading))
        try:
            await trading.run(self._stop)
        finally:
            publishing.cancel()
            freezing.cancel()

    # -- from other threads

    def call(self, work: Callable[[Control], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Run ``work`` on the loop and return its answer; NotReady before the venue was met, TimeoutError when late."""
        loop, trading, control = self._loop, self.trading, self.control
        if loop is None or trading is None or control is None or not trading.ready.is_set():
            phase = trading.phase if trading is not None else "starting"
            raise NotReady(f"the trading loop is {self.failure or phase}; try again")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(control), loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def take_desired(self, desired: Desired) -> None:
        """Hand a look at the control plane's tables over; dropped while the loop is not ready."""
        loop, trading, control = self._loop, self.trading, self.control
        if loop is not None and control is not None and trading is not None and trading.ready.is_set():
            asyncio.run_coroutine_threadsafe(control.take(desired), loop).add_done_callback(self._on_taken)

    def _on_taken(self, taken: Future[None]) -> None:
        """Nobody waits for the answer to a look, so its failure is told here; the next look tries again."""
        if taken.cancelled() or (failure := taken.exception()) is None:
            return
        log.error("what is wanted cannot be looked at", exc_info=failure)
        if self.control is not None:
            self.control.problem = f"{type(failure).__name__}: {failure}"

    def take_reply(self, reply: Reply) -> None:
        """Hand forecasts over."""
        loop, trading = self._loop, self.trading
        if loop is not None and trading is not None and trading.ready.is_set():
            loop.call_soon_threadsafe(trading.take_forecasts, reply)

    def status(self) -> dict[str, Any]:
        """A look at the loop from outside; values may be a moment apart."""
        if self.trading is None or self.control is None:
            return {"phase": "starting", "problem": self.failure}
        return status(self.trading, self.failure or self.control.problem)

    def alive(self) -> bool:
        """True while the loop turns: its timer ticked within the last seconds, or it still waits for the venue."""
        trading = self.trading
        if trading is None or self.failure or not self._thread.is_alive():
            return False
        return not trading.last_tick or time.monotonic() - trading.last_tick < STALLED_S

    def ready(self) -> bool:
        """True once the venue was met and the loop turns."""
        return self.alive() and self.trading is not None and self.trading.ready.is_set()


async def _freeze_when_ready(trading: TradingLoop) -> None:
    """What was made while starting stays for ever: the collector need not walk it again in the middle of trading."""
    await trading.ready.wait()
    gc.collect()
    gc.freeze()


def _ask_for_real_time() -> None:
    """Round-robin real-time scheduling for this thread where GEKKO_REALTIME is set and the system permits it."""
    priority = int(os.environ.get("GEKKO_REALTIME") or 0)
    if not priority:
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except (AttributeError, OSError) as error:
        log.warning("no real-time scheduling", error=str(error))

"""A whole desk in one event loop: the paper venue, the trading loop, and forecasts from a script."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.policies.domain.signatures import signed_bytes
from tests.support.kernels import LIMITS
from workers.adapters.forecast_client import Reply
from workers.adapters.journal import Journal
from workers.engine.accounting.books import Books, replay
from workers.engine.events import Forecast, JournalEvent, Trade
from workers.engine.instruments import atoms
from workers.engine.risk.limits import limits_digest
from workers.engine.vocabulary import Side
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.control import Control, Desired
from workers.live.execution.loop import TradingLoop
from workers.live.execution.names import Names
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.profiles import parse
from workers.live.paper_venue.rest import STAGE_KEY
from workers.live.paper_venue.server import application
from workers.live.paper_venue.stage import Stage

FAULT_TOKEN = "let-me-break-things"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
SECOND_NS = 1_000_000_000
LIMITS_KEY = Ed25519PrivateKey.from_private_bytes(b"desk" * 8)
LIMITS_PUBLIC = LIMITS_KEY.public_key().public_bytes_raw()


class Oscillating:
    """Forecasts that turn around with every bar, so that the strategy keeps trading; ``silent`` answers nothing."""

    def __init__(self) -> None:
        self.loop: TradingLoop | None = None
        self.asked = 0
        self.silent = False
        self.size = 0.004

    def ask(self, *, as_of: int, interval_ns: int, model_digest: str, closes: dict[str, list[float]]) -> str:
        self.asked += 1
        if not self.silent:
            asyncio.get_running_loop().call_soon(self._answer, as_of, interval_ns, model_digest, list(closes))
        return str(as_of)

    def _answer(self, as_of: int, interval_ns: int, model_digest: str, symbols: list[str]) -> None:
        move = self.size if self.asked % 2 else -self.size
        made = tuple(
            Forecast(
                forecast_id=f"{symbol}-{as_of}",
                symbol=symbol,
                model_digest=model_digest,
                as_of=as_of,
                made_at=time.time_ns(),
                interval_ns=interval_ns,
                levels=(0.1, 0.5, 0.9),
                quantiles=tuple((move + off,) * 4 for off in (-0.0005, 0.0, 0.0005)),
                confidence=0.95,
            )
            for symbol in symbols
        )
        if self.loop is not None:
            self.loop.take_forecasts(Reply(request_id=str(as_of), forecasts=made))


class PaperVenue:
    """The real paper venue on a port of its own, with its fault port open."""

    def __init__(self, url: str, stage: Stage | None = None) -> None:
        self.url = url
        self._stage = stage

    async def trade(self, symbol: str, price: int) -> None:
        """Have somebody sell one lot at ``price`` ticks, which no stream tells of."""
        assert self._stage is not None, "only of a venue in this process"
        now, home = time.time_ns(), self._stage.home
        trade = Trade(symbol=symbol, ts_event=now, ts_recv=now, trade_id=0, price=price, lots=1, aggressor=Side.SELL)
        await home.desk.book(home.engine.on_trade(trade))

    async def fault(self, **faults: int | bool) -> None:
        """Make it misbehave."""
        async with aiohttp.ClientSession() as session:
            headers = {"X-Fault-Token": FAULT_TOKEN}
            async with session.post(f"{self.url}/_fault", json=faults, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    async def truth(self) -> dict[str, Any]:
        """Its own books."""
        async with aiohttp.ClientSession() as session:
            headers = {"X-Fault-Token": FAULT_TOKEN}
            async with session.get(f"{self.url}/_truth", headers=headers) as answer:
                found: dict[str, Any] = await answer.json()
                return found


@contextlib.asynccontextmanager
async def paper_venue(
    folder: Path, *, events_per_second: float = 100.0, port: int = 0, venues: str = ""
) -> AsyncIterator[PaperVenue]:
    """Serve a synthetic market from ``folder``, which keeps the venue's books; ``venues`` are played beside it."""
    config = VenueConfig(
        state_dir=folder,
        market=MarketKind.SYNTHETIC,
        events_per_second=events_per_second,
        fault_token=FAULT_TOKEN,
        latency_ms=0.5,
        latency_median_ms=0.5,
        venues=parse(venues),
    )
    app = application(config)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    try:
        yield PaperVenue(f"http://{host}:{bound}", app[STAGE_KEY])
    finally:
        await runner.cleanup()


def published(limits: dict[str, Any], version: int = 1) -> dict[str, Any]:
    """Limits as the control plane publishes them, signed."""
    digest = limits_digest(limits)
    signature = LIMITS_KEY.sign(signed_bytes(version, digest)).hex()
    return {"version": version, "digest": digest, "limits": limits, "signature": signature}


def desired(*, state: str = "ACTIVE", version: int = 1, cancel_version: int = 0, **params: Any) -> Desired:
    """What the control plane would want: trade the forecast portfolio on both instruments."""
    limits = {**LIMITS, "max_orders_per_second": "100"}
    plan = {
        "run_id": "run-1",
        "release": "release-1",
        "strategy": "forecast_portfolio",
        "params": {"input_size": 8, "min_order_interval_s": 0.1, **params},
        "model_digest": "model-1",
        "limits_version": 1,
        "instruments": list(SYMBOLS),
        "interval_ns": SECOND_NS,
    }
    return Desired(
        control={
            "state": state,
            "version": version,
            "reason": "a test wants it",
            "by": "tester",
            "cancel_version": cancel_version,
            "cancel_reason": "a test wants it",
            "cancel_by": "tester",
        },
        limits=published(limits),
        runs=[plan],
    )


class Desk:
    """One trading loop under test."""

    def __init__(self, folder: Path, url: str | None, **settings: Any) -> None:
        self.journal = Journal(folder)
        self.forecasts = Oscillating()
        given = {
            "venue": "paper",
            "worker": "execution",
            "journal_dir": folder,
            "venue_url": url,
            "api_key": "paper-key",
            "api_secret": "paper-secret",
            "limits_key": LIMITS_PUBLIC,
            "symbols": SYMBOLS,
            "retry_s": 0.2,
        }
        config = LoopConfig(**{**given, **settings})
        self.loop = TradingLoop(config, self.journal, self.forecasts)
        self.forecasts.loop = self.loop
        self.control = Control(self.loop)
        self.wanted = desired()
        self.ended = False
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self.loop.run(self._stop))]

    @property
    def books(self) -> Books:
        return self.loop.kernel.books

    async def start(self) -> None:
        """Wait for the venue, then want what ``wanted`` says, over and over, as the poll does."""
        await within(30, lambda: self.loop.ready.is_set() or self._tasks[0].done())
        if self._tasks[0].done():
            self._tasks[0].result()
        self._tasks.append(asyncio.create_task(self._poll()))

    def end_run(self) -> None:
        """Want no run any more."""
        self.wanted = msgspec.structs.replace(self.wanted, runs=[])

    async def _poll(self) -> None:
        while True:
            await self.control.take(msgspec.structs.replace(self.wanted, looked=time.monotonic_ns()))
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End as a worker ends."""
        self.ended = True
        self._tasks[-1].cancel()
        self._stop.set()
        await self._tasks[0]
        self.journal.close()

    async def kill(self) -> None:
        """End as a killed process ends: nothing is waited for, nothing more is written."""
        self.ended = True
        for task in self._tasks:
            task.cancel()
        self.journal._pending.clear()  # what was not on disk is gone
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.journal._pending.clear()
        self.journal.close()


async def within(seconds: float, condition: Callable[[], Any], *, pause: float = 0.02) -> None:
    """Wait until ``condition`` holds, looking every ``pause`` seconds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        await asyncio.sleep(pause)


def journalled(folder: Path) -> list[JournalEvent]:
    """Everything in the journal, read as another process would."""
    from workers.adapters.journal import read

    return [record.event for record in read(folder)]


def at_beta(venue: PaperVenue, name: str = "beta", **changes: Any) -> VenueAccess:
    """A further venue of the account."""
    given = {"symbols": ("BTCUSDT",), "api_key": "paper-key", "api_secret": "paper-secret", **changes}
    return VenueAccess(name=name, url=venue.url, **given)


async def assert_books_agree(desk: Desk, venue: PaperVenue, name: str = "") -> None:
    """Ours at the venue called ``name`` (home for ""), its own, and those replayed from the journal are the same."""
    truth = await venue.truth()
    names = Names(name or "paper", "paper")
    theirs = {names.key(row["asset"]): atoms(row["free"], "") + atoms(row["locked"], "") for row in truth["balances"]}
    ours = desk.books.balances(name)
    assert ours == {**dict.fromkeys(ours, 0), **{asset: total for asset, total in theirs.items() if total}}
    known = {(names.key(row["symbol"]), int(row["id"])) for row in truth["trades"]}
    assert {trade for trade in desk.books.trades if names.owns(trade[0])} == known
    client_ids = [row["clientOrderId"] for row in truth["orders"]]
    assert len(client_ids) == len(set(client_ids))
    assert set(client_ids) <= set(desk.books.orders)
    again = replay(journalled(desk.loop.config.journal_dir))
    assert again.snapshot() == desk.books.snapshot()

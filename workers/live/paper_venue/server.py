"""The paper venue's process: one aiohttp application for REST, websockets, faults and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import hmac
import logging
import os
import signal
import time
from collections.abc import AsyncIterator

import msgspec
import uvloop
from aiohttp import web

from controlplane.logs import configure
from workers.live.paper_venue import rest, rest_account, rest_market, sockets
from workers.live.paper_venue.config import ConfigError, VenueConfig
from workers.live.paper_venue.faults import Faults
from workers.live.paper_venue.heartbeat import beat
from workers.live.paper_venue.journal import JournalError
from workers.live.paper_venue.metrics import exposition
from workers.live.paper_venue.publisher import publish_klines, publish_status
from workers.live.paper_venue.replay import Replayer
from workers.live.paper_venue.rest import STAGE_KEY, venue_of
from workers.live.paper_venue.sources.bars import BarsError
from workers.live.paper_venue.sources.choose import choose
from workers.live.paper_venue.sources.live import LiveRelay, LiveSource
from workers.live.paper_venue.sources.recording import RecordingError
from workers.live.paper_venue.stage import PREFIX, Stage
from workers.live.paper_venue.wire import MarketSource

log = logging.getLogger(__name__)

ROUTES = {**rest_market.ROUTES, **rest_account.ROUTES}


async def _anything(request: web.Request) -> web.StreamResponse:
    return await (sockets.serve(request) if sockets.is_socket(request) else rest.dispatch(request, ROUTES))


async def _healthz(request: web.Request) -> web.Response:
    venue = venue_of(request)
    market = venue.market
    started = market.session_id > 0 and (market.open or market.events > 0)
    state = {
        "status": "ok" if started else "starting",
        "market": str(venue.kind),
        "session": market.session_id,
        "open": market.open,
    }
    return web.json_response(state | {"events": market.events, "now": venue.now_ms}, status=200 if started else 503)


async def _metrics(request: web.Request) -> web.Response:
    body, content_type = exposition(request.app[STAGE_KEY])
    return web.Response(body=body, headers={"Content-Type": content_type})


def _allowed(request: web.Request) -> bool:
    token = request.app[STAGE_KEY].config.fault_token
    given = request.headers.get("X-Fault-Token", "")
    return bool(token) and hmac.compare_digest(token.encode(), given.encode())


async def _fault(request: web.Request) -> web.Response:
    if not _allowed(request):
        return web.json_response({"code": -1002, "msg": "The fault port is closed."}, status=403)
    venue = venue_of(request)
    try:
        asked = msgspec.json.decode(await request.read(), type=dict[str, int | bool])
        faults = msgspec.convert(msgspec.to_builtins(venue.faults) | asked, Faults)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return web.json_response({"code": -1100, "msg": str(error)}, status=400)
    for name in Faults.__struct_fields__:
        setattr(venue.faults, name, getattr(faults, name))
    venue.take_faults()
    return web.json_response(msgspec.to_builtins(venue.faults))


async def _truth(request: web.Request) -> web.Response:
    if not _allowed(request):
        return web.json_response({"code": -1002, "msg": "The fault port is closed."}, status=403)
    body = msgspec.json.encode(venue_of(request).desk.truth())
    return web.Response(body=body, content_type="application/json")


def application(config: VenueConfig) -> web.Application:
    """The venue as an aiohttp application; it starts to replay when it is started."""
    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/metrics", _metrics)
    for prefix in ("", PREFIX + "{venue}"):
        app.router.add_get(f"{prefix}/healthz", _healthz)
        app.router.add_get(f"{prefix}/readyz", _healthz)
        app.router.add_post(f"{prefix}/_fault", _fault)
        app.router.add_get(f"{prefix}/_truth", _truth)
    app.router.add_route("*", "/{path:.*}", _anything)

    async def lifetime(started: web.Application) -> AsyncIterator[None]:
        source = await asyncio.to_thread(choose, config)
        stage = Stage(config, source, time.time_ns)
        started[STAGE_KEY] = stage
        # What was loaded stays for good: a collection that walks it would hold the replay up.
        gc.freeze()
        tasks = [asyncio.create_task(_play(stage, source))]
        tasks += [asyncio.create_task((publish_status if v.dark else publish_klines)(v)) for v in stage]
        if config.redis_url:
            tasks.append(asyncio.create_task(beat(stage, config.redis_url)))
        for task in tasks:
            task.add_done_callback(_fail_loudly)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stage.close()

    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(_cut_websockets)
    return app


async def _cut_websockets(app: web.Application) -> None:
    """Otherwise the server would wait for them before it ends."""
    for venue in app[STAGE_KEY]:
        venue.hub.drop_all()


async def _play(stage: Stage, source: MarketSource | LiveSource) -> None:
    await (LiveRelay(stage, source) if isinstance(source, LiveSource) else Replayer(stage, source)).run()


def _fail_loudly(task: asyncio.Task[None]) -> None:
    """A venue whose market stopped is worse than none: end the process, so that the supervisor starts it again."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("the venue's market stopped", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


async def serve(config: VenueConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    runner = web.AppRunner(application(config), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await runner.setup()
    await web.TCPSite(runner, config.host, config.port).start()
    log.info("paper venue on http://%s:%d", config.host, config.port)
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await runner.cleanup()


def run(config: VenueConfig | None = None) -> None:
    """Run the venue in this process; without a configuration it is read from the environment."""
    configure({"process": "venue"})
    try:
        config = config or VenueConfig.from_env(os.environ)
        uvloop.run(serve(config))
    except (ConfigError, JournalError, BarsError, RecordingError) as error:
        raise SystemExit(f"paper venue: {error}") from error
    except OSError as error:
        if config is None or error.errno != errno.EADDRINUSE:
            raise
        at = f"{config.host}:{config.port}"
        raise SystemExit(f"paper venue: {at} is in use; stop what listens there or set GEKKO_VENUE_PORT") from error

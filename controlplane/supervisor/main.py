"""``gekko up``: start, watch, restart, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

import redis
from django.conf import settings

from controlplane.embedded import postgres, valkey
from controlplane.embedded.postgres import EmbeddedError
from controlplane.environment import ROOT
from controlplane.secrets import text_secret
from controlplane.supervisor import preflight
from controlplane.supervisor.preflight import PreflightError
from controlplane.supervisor.process import Supervised, end_orphans
from controlplane.supervisor.screen import Screen
from controlplane.supervisor.silence import Silence, parse
from controlplane.supervisor.specs import (
    Ports,
    ProcessSpec,
    application_specs,
    child_environment,
    postgres_spec,
    valkey_spec,
)

TICK_S = 0.2
HEARTBEAT_S = 1.0
# Each works one core for seconds before it is ready, and two cores are what every machine has.
AT_ONCE = 2
STORAGE = ("postgres", "valkey")


class StartError(RuntimeError):
    """A process did not become ready; the message names it, its log and the log's end."""


class Stopped(Exception):
    """The operator asked to stop while the stack was still starting."""


class Supervisor:
    """Owns the processes of one installation, from the first start to the last stop."""

    def __init__(self, state: Path, ports: Ports, screen: Screen) -> None:
        self.state = state
        self.ports = ports
        self.screen = screen
        self.running: list[Supervised] = []
        self.stopping = False
        self._heartbeat_at = 0.0
        self._silence = Silence()
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)

    def start(self, *specs: ProcessSpec) -> None:
        """Start processes side by side and wait until all are ready."""
        self.screen.step(f"starting {' and '.join(spec.name for spec in specs)}")
        begun = [Supervised(spec, self.state / "logs") for spec in specs]
        for process in begun:
            self.running.append(process)
            process.start()
        self._record()
        for process in begun:
            self._await(process, time.monotonic() + process.spec.ready_seconds)

    def _await(self, process: Supervised, end: float) -> None:
        while not process.spec.ready():
            if self.stopping:
                raise Stopped
            if not process.alive() or time.monotonic() > end:
                code = process.child.poll() if process.child else None
                how = "did not answer in time" if code is None else f"ended with {code}"
                raise StartError(f"{process.spec.name} {how}. Its log is {process.log_path}:\n{process.tail(12)}")
            time.sleep(0.1)
        process.ready = True

    def watch(self) -> None:
        """Keep everything alive until asked to stop."""
        while not self.stopping:
            for process in self.running:
                line = process.check(time.monotonic())
                if line:
                    self.screen.event(line)
                    self._record()
            self._heartbeat()
            time.sleep(TICK_S)

    def stop_all(self) -> None:
        """Stop trading first, while its venue still answers; then everything else at once; storage last."""
        first = [process for process in self.running if process.spec.name == "execution"]
        last = [process for process in self.running if process.spec.name in STORAGE]
        between = [process for process in self.running if process not in (*first, *last)]
        for group in (first, between, last):
            for process in group:
                process.ask_to_stop()
            for process in group:
                self.screen.step(f"stopping {process.spec.name}")
                process.stop()
        self._record()

    def forget_heartbeats(self) -> None:
        """What an earlier run last said of itself is no sign that a process of this run is lost."""
        self._redis.delete("gekko:heartbeat")

    def _record(self) -> None:
        preflight.record_children(self.state, {p.spec.name: p.pid for p in self.running if p.pid and p.alive()})

    def _heartbeat(self) -> None:
        now = time.time()
        if now - self._heartbeat_at < HEARTBEAT_S:
            return
        self._heartbeat_at = now
        for process in self.running:
            process.probe(now)
        detail = {
            "restarts": {p.spec.name: p.restarts for p in self.running},
            "processes": {p.spec.name: p.status() for p in self.running},
        }
        beat = {"name": "supervisor", "pid": 0, "ts": now, "detail": detail}
        try:
            self._redis.hset("gekko:heartbeat", "supervisor", json.dumps(beat))
            raw = cast("dict[bytes, bytes]", self._redis.hgetall("gekko:heartbeat"))
        except redis.RedisError:
            # Valkey itself may be what is being restarted; the next beat will tell.
            self._end_silent(None)
            return
        self._end_silent(parse(raw))

    def _end_silent(self, beats: dict[str, tuple[int, float]] | None) -> None:
        """Kill who lives and is silent; the watch then finds it ended, and starts it again after its delay."""
        alive = {p.spec.name: p.pid for p in self.running if p.pid and p.alive()}
        silent = self._silence.judge(time.monotonic(), alive, beats)
        for process in self.running:
            seconds = silent.get(process.spec.name)
            if seconds is not None:
                process.kill()
                self.screen.event(f"{process.spec.name} showed no sign of life for {seconds:.0f} s and was killed")


def batched(specs: Sequence[ProcessSpec], size: int) -> Iterator[Sequence[ProcessSpec]]:
    """``size`` at a time, in order."""
    return (specs[at : at + size] for at in range(0, len(specs), size))


def bootstrap(step: str, supervisor: Supervisor) -> dict[str, Any]:
    """Run ``controlplane.bootstrap`` as a process; its lines are progress, its last line the result."""
    command = [sys.executable, "-m", "controlplane.bootstrap", step]
    log = supervisor.state / "logs" / "bootstrap.log"
    with log.open("ab") as errors:
        child = subprocess.Popen(
            command, cwd=ROOT, env=child_environment("bootstrap", {}), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            result: dict[str, Any] = {}
            for line in _lines(child):
                if supervisor.stopping:
                    raise Stopped
                message = json.loads(line)
                if "progress" in message:
                    supervisor.screen.step(message["progress"])
                else:
                    result = message
        finally:
            if child.poll() is None and supervisor.stopping:
                child.terminate()
            code = child.wait()
    if code != 0:
        raise StartError(f"preparing ({step}) failed: {result.get('error', f'see {log}')}")
    return result


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    if child.stdout is None:
        return
    for line in child.stdout:
        if line.startswith("{"):
            yield line


def run(screen: Screen) -> int:
    """The whole life of ``gekko up``; returns the exit status."""
    state: Path = settings.GEKKO_STATE_DIR
    ports = Ports(
        settings.GEKKO_WEB_PORT, settings.GEKKO_VENUE_PORT, settings.GEKKO_VALKEY_PORT, settings.GEKKO_METRICS_BASE
    )
    try:
        preflight.prepare_folder(state)
        lock = preflight.take_lock(state)
        preflight.tools()
        orphans = end_orphans(preflight.recorded_children(state))
        if orphans:
            screen.event(f"ended what an earlier run left behind: {', '.join(orphans)}")
        preflight.check_ports(ports)
    except (PreflightError, EmbeddedError) as error:
        screen.failure(str(error))
        return 1
    with lock:
        return _supervise(Supervisor(state, ports, screen), screen)


def _supervise(supervisor: Supervisor, screen: Screen) -> int:
    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    status = 0
    try:
        _start_everything(supervisor, screen)
        supervisor.watch()
    except Stopped:
        screen.event("stopped before everything was up")
    except (StartError, EmbeddedError) as error:
        screen.failure(str(error))
        status = 1
    finally:
        supervisor.stop_all()
        screen.goodbye()
    return status


def _start_everything(supervisor: Supervisor, screen: Screen) -> None:
    if settings.GEKKO_EMBEDDED_POSTGRES:
        screen.step("preparing PostgreSQL")
        pg = postgres.locate(supervisor.state)
        postgres.prepare(pg)
        supervisor.start(postgres_spec(pg))
        postgres.ensure_database(pg)
    if settings.GEKKO_EMBEDDED_VALKEY:
        password = text_secret(settings.SECRETS, "valkey_password")
        kv = valkey.locate(supervisor.state, port=supervisor.ports.valkey, password=password)
        valkey.prepare(kv)
        supervisor.start(valkey_spec(kv))
    supervisor.forget_heartbeats()
    prepared = bootstrap("prepare", supervisor)
    try:
        for specs in batched(application_specs(supervisor.ports), AT_ONCE):
            supervisor.start(*specs)
        deployed = bootstrap("deploy", supervisor)
    except (StartError, Stopped):
        # They exist now and will not be made again: whoever tries once more needs them.
        if prepared.get("operator"):
            screen.credentials(prepared["operator"])
        raise
    screen.ready({**prepared, **deployed, "url": settings.GEKKO_WEB_URL})

"""This process as a member of the fleet: enrols, probes its devices, renews its lease, tells what it measures."""

from __future__ import annotations

import platform
import threading
from dataclasses import asdict
from time import perf_counter
from uuid import UUID

import psutil
import structlog
from django.db import DatabaseError, close_old_connections
from prometheus_client import Gauge

from apps.core.context import service_context
from apps.core.errors import DomainError, NotFound
from apps.fleet import selectors, services
from workers.adapters import devices
from workers.adapters.devices import FoundDevice, Layer
from workers.live.model_host import LOAD_ERRORS, Loaded, ModelHost

log = structlog.get_logger(__name__)

BEAT_S = 5.0
BEATS_PER_PROBE = 12
MEMORY_USED = Gauge("gekko_device_memory_used_bytes", "Memory in use on a device", ["device"])


def usable(found: list[FoundDevice]) -> FoundDevice:
    """The first device whose probe passes; the CPU is last and always tried. RuntimeError when none works."""
    for device in found:
        if all(layer.ok for layer in devices.probe(device)):
            return device
    raise RuntimeError(f"no device of this machine passes its probe: {', '.join(device.name for device in found)}")


class FleetMember:
    """Runs in a thread of its own, so that a long task or a slow database costs neither the lease nor a forecast."""

    def __init__(self, host: ModelHost, device: FoundDevice, node: UUID, region: str, version: str) -> None:
        self.host, self.device, self.node = host, device, node
        self.region, self.version = region, version
        self.ctx = service_context("gpu", origin="worker")
        self.enrolled = False
        self.stopping = threading.Event()
        """Set when the process begins to end: what takes long gives up."""
        self._found: list[FoundDevice] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(BEAT_S)

    def enrol(self) -> None:
        """Register the machine, probe its devices and warm the newest ready model."""
        system = f"{platform.system()} {platform.release()} {platform.machine()}"
        services.register_node(
            self.ctx,
            node_id=self.node,
            hostname=platform.node(),
            os=system,
            region=self.region,
            version=self.version,
        )
        self.probe()
        self.enrolled = True

    def probe(self) -> None:
        """Probe every device; the one in use ends with the known answers of the models that it holds."""
        self._found = devices.discover()
        failed_before = False
        reports = []
        for device in self._found:
            layers = devices.probe(device)
            if device == self.device:
                layers = (*layers, self._known_answers())
            report = _report(device, layers, degraded=failed_before and device.kind == "cpu")
            failed_before = failed_before or not report.passed
            reports.append(report)
        services.record_probe(self.ctx, node_id=self.node, devices=reports)

    def beat(self) -> None:
        """Renew the lease with a sample of each device."""
        samples = {(device.kind, device.index): devices.telemetry(device) for device in self._found}
        for (kind, index), values in samples.items():
            if (used := values.get("memory_used_bytes")) is not None:
                MEMORY_USED.labels(f"{kind}:{index}").set(used)
        services.heartbeat(self.ctx, node_id=self.node, telemetry=samples)

    def load(self, digest: str) -> Loaded:
        """Load a model and record how it went; a model is READY in the registry only after this has gone well."""
        try:
            loaded = self.host.load(digest)
        except LOAD_ERRORS as error:
            self._record_load(digest, golden_ok=False, error=str(error))
            raise
        self._record_load(digest, golden_ok=True, warm_ms=loaded.warm_ms)
        services.mark_ready(self.ctx, digest=digest)
        return loaded

    def _record_load(self, digest: str, *, golden_ok: bool, warm_ms: float | None = None, error: str = "") -> None:
        if not self.enrolled:
            self.enrol()
        services.record_load(
            self.ctx,
            node_id=self.node,
            kind=self.device.kind,
            index=self.device.index,
            digest=digest,
            golden_ok=golden_ok,
            warm_ms=warm_ms,
            error=error,
        )

    def _known_answers(self) -> Layer:
        began = perf_counter()
        try:
            off, count = self.host.check(), len(self.host.digests)
            detail, ok = (f"{count} models, {off:.2g} volatilities off" if count else "no model loaded"), True
        except LOAD_ERRORS as error:
            detail, ok = str(error), False
        return Layer(name="known forecast", ok=ok, detail=detail, seconds=perf_counter() - began)

    def warm_newest(self) -> None:
        """Warm the models that runs may want, the newest last, so that no first request waits for it."""
        for model in reversed(selectors.ready_models(self.host.most)):
            try:
                self.load(model.digest)
            except LOAD_ERRORS as error:
                log.error("model not loaded", digest=model.digest, error=str(error))  # noqa: TRY400 - told in words

    def _run(self) -> None:
        beats, warmed = 0, False
        while True:
            close_old_connections()
            try:
                if not self.enrolled:
                    self.enrol()
                if not warmed:
                    self.warm_newest()
                    warmed = True
                self.beat()
                beats += 1
                if beats % BEATS_PER_PROBE == 0:
                    self.probe()
            except NotFound:
                self.enrolled = False
            except (DatabaseError, DomainError, RuntimeError, OSError, psutil.Error) as error:
                log.warning("fleet record not renewed", error=str(error))
            if self._stop.wait(BEAT_S if self.enrolled else 1.0):
                return


def _report(device: FoundDevice, layers: tuple[Layer, ...], *, degraded: bool) -> services.DeviceReport:
    return services.DeviceReport(
        kind=device.kind,
        index=device.index,
        name=device.name,
        memory_bytes=device.memory_bytes,
        unified=device.unified,
        backend_version=device.backend_version,
        degraded=degraded,
        checks=tuple(services.Check(**asdict(layer)) for layer in layers),
    )

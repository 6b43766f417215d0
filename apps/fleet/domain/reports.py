"""What a worker tells the fleet about its machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Telemetry = Mapping[str, float | int | None]
UNITS = ("_bytes", "_percent", "_c", "_w", "_mhz", "_ms", "_count")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One layer of a probe."""

    name: str
    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """One probed device; ``degraded`` marks one that works as a fallback."""

    kind: str
    index: int
    name: str
    memory_bytes: int | None
    unified: bool
    backend_version: str
    degraded: bool
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)


def telemetry_faults(values: Telemetry) -> list[str]:
    """What is wrong with a sample, in words: a name without its unit, or a number that is no measurement."""
    faults = [f"{name}: the name ends with none of {', '.join(UNITS)}" for name in values if not name.endswith(UNITS)]
    for name, value in values.items():
        if value is not None and (not math.isfinite(value) or value < 0 or value >= 2**62):
            faults.append(f"{name}: expected a measurement or null, was {value}")
    return faults

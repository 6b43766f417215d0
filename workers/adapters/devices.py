"""Processors that torch can use here: found, probed layer by layer, measured without sentinels."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import psutil
import torch


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a probe; ``detail`` says what was seen or what went wrong."""

    name: str
    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FoundDevice:
    """A device as found. ``memory_bytes`` is null where nobody can say; unified memory is shared with the CPU."""

    kind: str
    index: int
    name: str
    memory_bytes: int | None
    unified: bool
    backend_version: str

    @property
    def torch_device(self) -> torch.device:
        return torch.device("cuda", self.index) if self.kind == "cuda" else torch.device(self.kind)


def discover() -> list[FoundDevice]:
    """Every device of this machine, the fastest kind first; the CPU is always among them, last."""
    return [*_cuda(), *_mps(), _cpu()]


def _cuda() -> list[FoundDevice]:
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append(
            FoundDevice(
                kind="cuda",
                index=index,
                name=facts.name,
                memory_bytes=int(facts.total_memory),
                unified=bool(getattr(facts, "is_integrated", False)),
                backend_version=f"CUDA {torch.version.cuda}",
            )
        )
    return found


def _mps() -> list[FoundDevice]:
    if not torch.backends.mps.is_available():
        return []
    return [
        FoundDevice(
            kind="mps",
            index=0,
            name=f"{_cpu_name()} GPU",
            memory_bytes=int(torch.mps.recommended_max_memory()),
            unified=True,
            backend_version=f"Metal, macOS {platform.mac_ver()[0]}",
        )
    ]


def _cpu() -> FoundDevice:
    return FoundDevice(
        kind="cpu",
        index=0,
        name=_cpu_name(),
        memory_bytes=int(psutil.virtual_memory().total),
        unified=False,
        backend_version=f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}",
    )


def _cpu_name() -> str:
    """The processor's model name, or what the platform calls it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  a kernel table, not a file on disk
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def probe(device: FoundDevice) -> tuple[Layer, ...]:
    """Layers in order, each resting on the one before: allocate, copy there and back, and a known product.

    The first that fails ends the probe: what rests on it was not tried and says so by being absent.
    """
    target = device.torch_device
    layers: list[Layer] = []
    for name, attempt in (("allocate", _allocate), ("copy", _copy), ("known product", _known_product)):
        layer = _attempt(name, attempt, target)
        layers.append(layer)
        if not layer.ok:
            break
    return tuple(layers)


def _attempt(name: str, attempt: Callable[[torch.device], str], device: torch.device) -> Layer:
    began = perf_counter()
    try:
        detail, ok = attempt(device), True
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        detail, ok = str(error) or type(error).__name__, False
    return Layer(name=name, ok=ok, detail=detail, seconds=perf_counter() - began)


def _allocate(device: torch.device) -> str:
    block = torch.zeros(1 << 18, device=device)
    return f"{block.numel() * block.element_size()} bytes"


def _copy(device: torch.device) -> str:
    sent = torch.arange(4096, dtype=torch.float32)
    if not torch.equal(sent.to(device).cpu(), sent):
        raise RuntimeError("numbers changed on their way to the device and back")
    return "16384 bytes there and back"


def _known_product(device: torch.device) -> str:
    """The square of a Hadamard matrix of order n is n times the identity, exact in single precision."""
    matrix = torch.ones(1, 1)
    for _ in range(6):
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    answer = (matrix.to(device) @ matrix.to(device)).cpu()
    if not torch.equal(answer, 64 * torch.eye(64)):
        raise RuntimeError(
            f"the product of known matrices is off by {float((answer - 64 * torch.eye(64)).abs().max())}"
        )
    return "64 x 64, exact"


def telemetry(device: FoundDevice) -> dict[str, float | int | None]:
    """What the device says of itself now; null is what it does not measure. Units are in the names."""
    process = psutil.Process()
    values: dict[str, float | int | None] = {
        "process_rss_bytes": process.memory_info().rss,
        "process_threads_count": process.num_threads(),
    }
    if device.kind == "cuda":
        free, total = torch.cuda.mem_get_info(device.index)
        values |= {"memory_used_bytes": total - free, "memory_total_bytes": total, "utilisation_percent": None}
    elif device.kind == "mps":
        used = int(torch.mps.driver_allocated_memory())
        values |= {"memory_used_bytes": used, "memory_total_bytes": device.memory_bytes, "utilisation_percent": None}
    else:
        memory = psutil.virtual_memory()
        values |= {
            "memory_used_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "utilisation_percent": psutil.cpu_percent(interval=None),
        }
    return {**values, "temperature_c": _temperature(device), "power_w": None}


def _temperature(device: FoundDevice) -> float | None:
    """The hottest CPU sensor where the system shows one; accelerators' are not read through torch."""
    sensors = getattr(psutil, "sensors_temperatures", None)
    if device.kind != "cpu" or sensors is None:
        return None
    readings = [reading.current for group in sensors().values() for reading in group]
    return float(max(readings)) if readings else None

"""Execution algorithms: how many lots of a parent are released by when. Pure but for what an instance remembers.

A schedule says how many lots are *released* (may be at the venue or done) and how many are *due* (must be done, or the
tactic crosses the spread for them). All but ``pov``, ``iceberg`` and ``sweep`` release everything ``finish_s`` before
the end.

* ``twap``: ``slices`` equal parts, evenly spaced from the start, each up to ``jitter`` of an interval late. After slice
  k of n, ``lots * k // n`` are released: slices differ by one lot at most, and the last one makes the whole.
* ``vwap``: along a volume curve, pulled by ``track`` towards the volume that was really seen.
* ``pov``: at most ``rate`` of the volume seen; what was missed is caught up at ``catch_up`` times that of the last
  ``lookback_s``. After a restart it counts from there, so that nothing is bought on volume that nobody saw.
* ``iceberg``: everything at once, but ``display_lots`` in sight, each time up to ``vary`` more or less.
* ``buckets``: a quota per bucket of time, worked passively and crossed for in its last ``cross_share``; what a bucket
  missed the next ones take on, up to ``catch_up`` times their own quota, and the last one whole.
* ``sweep``: everything at once, taken and never rested: the router alone.
* ``adaptive``: Almgren-Chriss from ``urgency`` (kappa T), solved again each step for what is left, at the volatility
  and volume that are seen; spread and imbalance of the book move how long it waits before it crosses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.execution.chance import uniform
from workers.engine.execution.impact import adapted, held
from workers.engine.execution.parent import Parent
from workers.engine.execution.progress import Progress
from workers.engine.execution.volume import VolumeCurve

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
MOST_LOTS: Final = 10**18
Lots = Annotated[int, msgspec.Meta(ge=0, le=MOST_LOTS)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
Interval = Annotated[float, msgspec.Meta(ge=0.001, le=86_400.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Factor = Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]

PRIOR: Final = 0.25
"""Share of the expected volume that must have been due before the volume seen counts as much as the curve."""
LONGEST_FINISH_NS: Final = 5 * SECOND_NS
FINISH_SHARE: Final = 20
"""The finish is a twentieth of the horizon, ``LONGEST_FINISH_NS`` at most, unless ``finish_s`` says otherwise."""


class AlgorithmError(ValueError):
    """An unknown algorithm, or parameters that do not fit it."""


class Tactics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every algorithm takes. ``take`` crosses at once, ``rest`` never, ``mixed`` after ``patience_s``."""

    style: Literal["take", "mixed", "rest"] = "mixed"
    patience_s: Seconds = 5.0
    finish_s: Seconds | None = None
    offset_ticks: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1
    """How far through the touch a crossing order may trade."""
    reprice_s: Seconds = 2.0
    """A resting order that the market has left is moved when it is so old."""
    min_child_lots: Lots = 0


T = TypeVar("T", bound=Tactics)


class Algorithm(ABC, Generic[T]):
    """One parent's schedule. ``released`` and ``due`` are in lots, times ns by our clock."""

    name: ClassVar[str] = ""
    params_type: ClassVar[type[Tactics]] = Tactics
    completes: ClassVar[bool] = True
    """Releases everything by the end, and so needs one."""
    grain: ClassVar[int] = 0
    """A child has at least one ``grain``-th of the parent, so that what is released lot by lot makes no swarm."""

    def __init__(self, parent: Parent, params: T) -> None:
        self.parent = parent
        self.params = params
        span = parent.end - parent.start
        finish = min(span // FINISH_SHARE, LONGEST_FINISH_NS)
        if params.finish_s is not None:
            # Never nothing: what is released at the very end could not be traded any more.
            finish = min(max(int(params.finish_s * SECOND_NS), min(finish, SECOND_NS)), span)
        self.finish_at = parent.end - finish if self.completes else 0
        self.patience_ns = int(params.patience_s * SECOND_NS)

    def finishing(self, now: int) -> bool:
        """True in the last moments, when everything is released and due."""
        return self.completes and now >= self.finish_at

    def released(self, ts: int, progress: Progress) -> int:
        """Lots that may be at the venue or done by ``ts``."""
        parent = self.parent
        if ts < parent.start:
            return 0
        if self.finishing(ts):
            return parent.lots
        return min(max(self.schedule(ts, progress), 0), parent.lots)

    def due(self, now: int, progress: Progress) -> int:
        """Lots that must be done by now: the tactic crosses for those that are not."""
        if self.params.style == "rest":
            return 0
        if self.params.style == "take" or self.finishing(now):
            return self.released(now, progress)
        return self.released(now - self.patience(progress), progress)

    def patience(self, progress: Progress) -> int:  # noqa: ARG002  # for algorithms that look at the book
        """How long a released lot may rest before it is crossed for."""
        return self.patience_ns

    def least(self) -> int:
        """Lots that a child should have, unless the parent is about to end; the venue's minimum comes on top."""
        return self.params.min_child_lots or (self.parent.lots // self.grain if self.grain else 0)

    def display(self) -> int:
        """Lots of the next child in sight; 0 for all that is released."""
        return 0

    @abstractmethod
    def schedule(self, ts: int, progress: Progress) -> int:
        """Lots released by ``ts`` within the horizon; what is below 0 or above the parent is cut off."""


A = TypeVar("A", bound="type[Algorithm[Any]]")
_KNOWN: Final[dict[str, type[Algorithm[Any]]]] = {}


def _algorithm(cls: A) -> A:
    _KNOWN[cls.name] = cls
    return cls


def names() -> tuple[str, ...]:
    """Names of all algorithms, sorted."""
    return tuple(sorted(_KNOWN))


def check_params(name: str, params: Mapping[str, Any]) -> Tactics:
    """The parameters as the algorithm reads them; AlgorithmError says what is wrong."""
    known = _KNOWN.get(name)
    if known is None:
        raise AlgorithmError(f"unknown algorithm {name!r}; known are {', '.join(names())}")
    try:
        return msgspec.convert(dict(params), known.params_type, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise AlgorithmError(f"parameters of {name}: {error}") from error


def needs_end(name: str) -> bool:
    """True for an algorithm that cannot work without an end."""
    return name not in _KNOWN or _KNOWN[name].completes


def build(parent: Parent) -> Algorithm[Any]:
    """The parent's schedule; AlgorithmError when there is none of that name or its parameters do not fit."""
    params = check_params(parent.algorithm, parent.params)
    if needs_end(parent.algorithm) and parent.end <= parent.start:
        raise AlgorithmError(f"{parent.algorithm} needs an end after its start, was {parent.end} after {parent.start}")
    return _KNOWN[parent.algorithm](parent, params)


def cut(lots: int, parts: int, number: int) -> int:
    """Lots in the first ``number`` of ``parts`` equal parts, in whole lots; all of them in all parts."""
    return lots * min(max(number, 0), parts) // parts


class TwapParams(Tactics, frozen=True, kw_only=True):
    """Give ``slices``, or ``interval_s`` between them: then ``horizon // interval`` slices, without a fence post."""

    slices: Count | None = None
    interval_s: Interval | None = None
    jitter: Share = 0.0

    def __post_init__(self) -> None:
        if (self.slices is None) == (self.interval_s is None):
            raise ValueError("expected either slices or interval_s")


@_algorithm
class Twap(Algorithm[TwapParams]):
    name = "twap"
    params_type = TwapParams

    def __init__(self, parent: Parent, params: TwapParams) -> None:
        super().__init__(parent, params)
        span = parent.end - parent.start
        self.slices = params.slices or max(span // int((params.interval_s or 1.0) * SECOND_NS), 1)

    def time_of(self, number: int) -> int:
        """When slice ``number``, from 0, is released."""
        parent, span = self.parent, self.parent.end - self.parent.start
        late = int(uniform(parent.seed, number) * self.params.jitter * span / self.slices)
        return parent.start + number * span // self.slices + late

    def schedule(self, ts: int, progress: Progress) -> int:  # noqa: ARG002  # time is all it goes by
        span = self.parent.end - self.parent.start
        number = min((ts - self.parent.start) * self.slices // span, self.slices - 1)
        return cut(self.parent.lots, self.slices, number + (ts >= self.time_of(number)))


class VwapParams(Tactics, frozen=True, kw_only=True):
    """``curve`` is a ``volume.VolumeCurve``; ``track`` 0 follows it alone, 1 the volume seen against it alone."""

    curve: VolumeCurve
    track: Share = 0.5


@_algorithm
class Vwap(Algorithm[VwapParams]):
    name = "vwap"
    params_type = VwapParams
    grain = 100

    def schedule(self, ts: int, progress: Progress) -> int:
        parent, curve, end = self.parent, self.params.curve, self.finish_at
        share = curve.share(parent.start, end, ts)
        if self.params.track:
            share += self.params.track * (self._tracked(ts, end, progress) - share)
        return int(parent.lots * share)

    def _tracked(self, ts: int, end: int, progress: Progress) -> float:
        """Volume seen over the volume that it makes likely in all.

        What is to come is scaled by how busy it was so far, more carefully the less was expected by now. What was
        traded before we looked is taken to have been as usual.
        """
        curve, start = self.params.curve, self.parent.start
        seen = curve.expected(start, progress.since) + progress.volume(ts)
        prior = curve.expected(start, end) * PRIOR
        busy = (seen + prior) / (curve.expected(start, ts) + prior) if prior else 1.0
        likely = seen + curve.expected(ts, end) * busy
        return seen / likely if likely > 0 else curve.share(start, end, ts)


class PovParams(Tactics, frozen=True, kw_only=True):
    """``rate`` is ours over all volume, ours included."""

    rate: Rate = 0.1
    lookback_s: Seconds = 60.0
    catch_up: Factor = 2.0


@_algorithm
class Pov(Algorithm[PovParams]):
    name = "pov"
    params_type = PovParams
    grain = 100
    completes = False

    def schedule(self, ts: int, progress: Progress) -> int:
        params = self.params
        seen = progress.volume(ts)
        allowed = progress.lots_before + math.floor(params.rate * seen)
        recent = seen - progress.volume(ts - int(params.lookback_s * SECOND_NS))
        return min(allowed, self.parent.filled + math.floor(params.catch_up * params.rate * recent))


class IcebergParams(Tactics, frozen=True, kw_only=True):
    """Rests at the limit price, or at the touch where there is none."""

    display_lots: Annotated[int, msgspec.Meta(ge=1, le=MOST_LOTS)]
    vary: Share = 0.0
    style: Literal["take", "mixed", "rest"] = "rest"


@_algorithm
class Iceberg(Algorithm[IcebergParams]):
    name = "iceberg"
    params_type = IcebergParams
    completes = False

    def display(self) -> int:
        draw = 2.0 * uniform(self.parent.seed, self.parent.children) - 1.0
        return max(round(self.params.display_lots * (1.0 + self.params.vary * draw)), 1)

    def schedule(self, ts: int, progress: Progress) -> int:  # noqa: ARG002  # all of it, at once
        return self.parent.lots


class SweepParams(Tactics, frozen=True, kw_only=True):
    """Nothing rests, so that of the tactics only ``min_child_lots`` and, without a route, ``offset_ticks`` matter."""

    style: Literal["take"] = "take"


@_algorithm
class Sweep(Algorithm[SweepParams]):
    name = "sweep"
    params_type = SweepParams
    completes = False

    def schedule(self, ts: int, progress: Progress) -> int:  # noqa: ARG002  # all of it, at once
        return self.parent.lots


class BucketParams(Tactics, frozen=True, kw_only=True):
    """See the module."""

    buckets: Count
    catch_up: Factor = 1.0
    cross_share: Share = 0.25


@_algorithm
class Buckets(Algorithm[BucketParams]):
    name = "buckets"
    params_type = BucketParams

    def _bounds(self, ts: int) -> tuple[int, int, int]:
        """Number, start and end of the bucket of ``ts``."""
        begun, count = self.parent.start, self.params.buckets
        span = max(self.finish_at - begun, 1)
        number = min(max((ts - begun) * count // span, 0), count - 1)
        return number, begun + number * span // count, begun + (number + 1) * span // count

    def schedule(self, ts: int, progress: Progress) -> int:  # noqa: ARG002  # time and fills are all it goes by
        parent, count = self.parent, self.params.buckets
        number, begun, _ = self._bounds(ts)
        planned, by_end = cut(parent.lots, count, number), cut(parent.lots, count, number + 1)
        missed = max(planned - parent.done_before(begun), 0)
        carried = missed if number == count - 1 else min(missed, int(self.params.catch_up * (by_end - planned)))
        return by_end - missed + carried

    def due(self, now: int, progress: Progress) -> int:
        if self.params.style != "mixed" or self.finishing(now):
            return super().due(now, progress)
        _, begun, end = self._bounds(now)
        late = now >= end - int(self.params.cross_share * (end - begun))
        return self.released(now, progress) if late else self.parent.done_before(begun)


class AdaptiveParams(Tactics, frozen=True, kw_only=True):
    """``urgency`` is kappa T as planned; 0 is a straight line. What the market is compared with:

    ``expected_lots`` over the horizon, and ``volatility_bps`` per square root of a minute. Without them volume is taken
    to be as expected, and volatility is compared with that of the first minute.
    """

    urgency: Annotated[float, msgspec.Meta(ge=0.0, le=50.0)] = 1.5
    steps: Count = 20
    expected_lots: Lots = 0
    volatility_bps: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] = 0.0


@_algorithm
class Adaptive(Algorithm[AdaptiveParams]):
    name = "adaptive"
    params_type = AdaptiveParams

    def __init__(self, parent: Parent, params: AdaptiveParams) -> None:
        super().__init__(parent, params)
        self._urgency: dict[int, float] = {}

    def schedule(self, ts: int, progress: Progress) -> int:
        parent = self.parent
        span = max(self.finish_at - parent.start, 1)
        step = (ts - parent.start) * self.params.steps // span
        begun = parent.start + step * span // self.params.steps
        urgency = self._urgency.get(step)
        if urgency is None:
            urgency = self._urgency[step] = self._solve(begun, progress)
        done, left = parent.done_before(begun), max(self.finish_at - begun, 1)
        # kappa T of the rest is the plan's, in proportion to the time that is left.
        share = 1.0 - held(urgency * left / span, span // self.params.steps / left)
        return done + math.ceil((parent.lots - done) * share)

    def _solve(self, ts: int, progress: Progress) -> float:
        params, parent = self.params, self.parent
        volatility, volume = progress.volatility_ratio(params.volatility_bps), 1.0
        expected = params.expected_lots * (ts - progress.since) / max(parent.end - parent.start, 1)
        if expected >= 1:
            volume = progress.volume(ts) / expected
        return adapted(params.urgency, volatility_ratio=volatility, volume_ratio=volume)

    def patience(self, progress: Progress) -> int:
        return int(self.patience_ns * (1.0 - progress.pressure()))

"""How long each stage takes: Prometheus histograms for the record, quantiles of the newest samples for the screen.

Stages of an order, in ns: ``receive`` socket to decoder, ``decode``, ``book`` checks and book, ``signal`` strategy,
``risk`` gate, ``journal`` until durable, ``send`` until the bytes left, and ``total`` from receipt to leaving.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

STAGES: Final = ("receive", "decode", "book", "signal", "risk", "journal", "send", "total")
SAMPLES: Final = 2048
SECOND_NS: Final = 1_000_000_000
BUCKETS: Final = (
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 5.0,
)  # fmt: skip

STAGE_SECONDS: Final = Histogram(
    "gekko_order_stage_seconds", "Time that an order spent in a stage", ["venue", "stage"], buckets=BUCKETS
)
MARKET_EVENTS: Final = Counter("gekko_market_events_total", "Market events taken from the feed", ["venue", "symbol"])
JOURNAL_SECONDS: Final = Histogram("gekko_journal_commit_seconds", "Time of a durable group write", buckets=BUCKETS)
LOOP_LAG: Final = Gauge("gekko_loop_lag_seconds", "How late the loop's last timer was")
RECONCILIATIONS: Final = Counter("gekko_reconciliations_total", "Reconciliations with the venue", ["venue", "outcome"])
WAKES: Final = Counter("gekko_late_wakes_total", "Times that the loop was found to have been paused")


class StageClock:
    """Newest samples per stage, in ns."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[int]] = {stage: deque(maxlen=SAMPLES) for stage in STAGES}
        self._observers: dict[tuple[str, str], Callable[[float], None]] = {}
        self.counts = dict.fromkeys(STAGES, 0)

    def observe(self, stages: Mapping[str, int], venue: str) -> None:
        """Take the stages of one order to ``venue``; names that are no stage are passed over."""
        for stage, elapsed in stages.items():
            samples = self._samples.get(stage)
            if samples is not None:
                samples.append(elapsed)
                self.counts[stage] += 1
                self._observer(venue, stage)(elapsed / SECOND_NS)

    def _observer(self, venue: str, stage: str) -> Callable[[float], None]:
        known = self._observers.get((venue, stage))
        if known is None:
            known = self._observers[venue, stage] = STAGE_SECONDS.labels(venue, stage).observe
        return known

    def forget(self) -> None:
        """Begin the samples anew; the histograms keep what they have."""
        for samples in self._samples.values():
            samples.clear()
        self.counts = dict.fromkeys(STAGES, 0)

    def quantiles(self) -> dict[str, dict[str, int]]:
        """p50, p99, worst (ns) and count by stage, for stages that have samples."""
        found: dict[str, dict[str, int]] = {}
        for stage, samples in self._samples.items():
            if not samples:
                continue
            ordered = sorted(samples)
            found[stage] = {
                "p50_ns": ordered[len(ordered) // 2],
                "p99_ns": ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)],
                "max_ns": ordered[-1],
                "count": self.counts[stage],
            }
        return found

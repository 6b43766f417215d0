"""Prometheus metrics of the process, read from the venues' own counters when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.venue import Venue

_GAUGES: dict[str, tuple[str, Callable[[Venue], int]]] = {
    "websockets": ("Open websocket connections.", lambda venue: len(venue.hub.connections)),
    "session": ("Number of the session.", lambda venue: venue.market.session_id),
    "open": ("1 while orders are taken.", lambda venue: int(venue.market.open)),
    "open_orders": ("Resting orders.", lambda venue: len(venue.engine.open_orders())),
}


class StageCollector(Collector):
    """Turns the venues' counters into metric families; the label ``venue`` tells them apart."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def collect(self) -> Iterator[Metric]:
        """Every family with its present values."""
        yield from self._counters()
        for name, (text, read) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"gekko_venue_{name}", text, labels=["venue"])
            for venue in self._stage:
                gauge.add_metric([venue.name], read(venue))
            yield gauge
        lag = self._stage.home.lag_ns / 1e9
        yield GaugeMetricFamily("gekko_venue_replay_lag_seconds", "How late the replay is.", value=lag)

    def _counters(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "gekko_venue_market_events", "Market events replayed and matched.", labels=["venue"]
        )
        sent = CounterMetricFamily("gekko_venue_messages", "Websocket messages queued.", labels=["venue", "stream"])
        reports = CounterMetricFamily("gekko_venue_order_events", "Steps of orders.", labels=["venue", "step"])
        requests = CounterMetricFamily("gekko_venue_requests", "REST requests.", labels=["venue", "endpoint", "status"])
        for venue in self._stage:
            events.add_metric([venue.name], venue.market.events)
            _add(sent, venue, {(stream,): count for stream, count in venue.hub.sent.items()})
            _add(reports, venue, {(step,): count for step, count in venue.desk.counts.items()})
            _add(requests, venue, {(at, str(status)): count for (at, status), count in venue.requests.items()})
        yield from (events, sent, reports, requests)


def _add(family: CounterMetricFamily, venue: Venue, counts: dict[tuple[str, ...], int]) -> None:
    for labels, count in counts.items():
        family.add_metric([venue.name, *labels], count)


def exposition(stage: Stage) -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StageCollector(stage))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

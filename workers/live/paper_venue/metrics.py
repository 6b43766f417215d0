"""Prometheus metrics of the venue, read from its own counters when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from workers.live.paper_venue.venue import Venue


class VenueCollector(Collector):
    """Turns the venue's counters into metric families."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def collect(self) -> Iterator[Metric]:
        """Every family with its present values."""
        venue = self._venue
        yield CounterMetricFamily(
            "gekko_venue_market_events", "Market events replayed and matched.", value=venue.market.events
        )
        sent = CounterMetricFamily("gekko_venue_messages", "Websocket messages queued.", labels=["stream"])
        for stream, count in venue.hub.sent.items():
            sent.add_metric([stream], count)
        yield sent
        reports = CounterMetricFamily("gekko_venue_order_events", "Steps of orders.", labels=["step"])
        for step, count in venue.desk.counts.items():
            reports.add_metric([step], count)
        yield reports
        requests = CounterMetricFamily("gekko_venue_requests", "REST requests.", labels=["endpoint", "status"])
        for (endpoint, status), count in venue.requests.items():
            requests.add_metric([endpoint, str(status)], count)
        yield requests
        yield GaugeMetricFamily(
            "gekko_venue_websockets", "Open websocket connections.", value=len(venue.hub.connections)
        )
        yield GaugeMetricFamily("gekko_venue_session", "Number of the session.", value=venue.market.session_id)
        yield GaugeMetricFamily("gekko_venue_open", "1 while orders are taken.", value=int(venue.market.open))
        yield GaugeMetricFamily("gekko_venue_replay_lag_seconds", "How late the replay is.", value=venue.lag_ns / 1e9)
        yield GaugeMetricFamily("gekko_venue_open_orders", "Resting orders.", value=len(venue.engine.open_orders()))


def exposition(venue: Venue) -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(VenueCollector(venue))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

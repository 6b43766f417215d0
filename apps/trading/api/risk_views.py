"""Risk over HTTP: the newest report, its history, and questions about orders that nobody has sent."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.versions import with_etag
from apps.core.api.views import ApiView, valid
from apps.trading import selectors, selectors_risk
from apps.trading.api import risk_serializers as wire
from apps.trading.api.serializers import VenueQuery
from apps.trading.api.views import asked, venue_of
from apps.trading.rows_risk import report_row
from apps.trading.services.risk_what_if import what_if


class RiskReportView(ApiView):
    """The newest report: value at risk, its parts, exposure, stress, backtests."""

    @extend_schema(parameters=[VenueQuery], responses=wire.RiskReportSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "risk_report")
        return with_etag(Response(report_row(selectors_risk.latest_report(venue_of(asked(VenueQuery, request))))))


class RiskHistoryView(ApiView):
    """Value at risk against its limit and the results over time, thinned by the server."""

    @extend_schema(parameters=[wire.RiskHistoryQuery], responses=wire.RiskHistorySerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "risk_history")
        query = asked(wire.RiskHistoryQuery, request)
        series = selectors_risk.history(
            venue_of(query),
            start=query.get("start"),
            end=query.get("end") or self.ctx.now(),
            points=query.get("points", selectors_risk.MAX_POINTS),
        )
        return Response(series)


class WhatIfView(ApiView):
    """What proposed orders would change: the gate's verdict, value at risk, exposure, stress. Changes nothing."""

    @extend_schema(request=wire.WhatIfQuestion, responses=wire.WhatIfAnswer)
    def post(self, request: Request) -> Response:
        question = valid(wire.WhatIfQuestion, request)
        orders = [
            {**order, "price": order.get("price"), "order_type": "LIMIT" if order.get("price") else "MARKET"}
            for order in question["orders"]
        ]
        return Response(what_if(self.ctx, venue=venue_of(question), orders=orders))

"""Backtests and strategies over HTTP."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiView, valid
from apps.trading import selectors
from apps.trading import selectors_backtests as reads
from apps.trading.api import backtest_serializers as wire
from apps.trading.api.views import asked
from apps.trading.rows_backtests import backtest_row
from apps.trading.services import backtests as services

LISTED: Final = 50
SHEET_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A tear sheet is a page of its own: it may be styled, and can do nothing."""


class BacktestsView(ApiView):
    """Runs and searches, newest first; POST asks for one."""

    @extend_schema(
        operation_id="backtests_list", parameters=[wire.BacktestQuery], responses=wire.BacktestListSerializer
    )
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "backtest")
        query = asked(wire.BacktestQuery, request)
        found = reads.backtests()
        if "strategy" in query:
            found = found.filter(strategy=query["strategy"])
        rows = [backtest_row(run) for run in found[: query.get("limit", LISTED)]]
        return Response({"results": rows, "data": reads.data_names()})

    @extend_schema(request=wire.BacktestOrder, responses={202: wire.BacktestSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(wire.BacktestOrder, request)
        head = {"strategy", "data", "params"}
        settings = {name: plain(value) for name, value in order.items() if name not in head}
        run = services.request_backtest(
            self.ctx, strategy=order["strategy"], data=order["data"], params=order["params"], settings=settings
        )
        return Response(backtest_row(run), status=status.HTTP_202_ACCEPTED)


class BacktestView(ApiView):
    """One run or search, with its trials."""

    @extend_schema(responses=wire.BacktestDetailSerializer)
    def get(self, _request: Request, run_id: UUID) -> Response:
        selectors.may_view(self.ctx, "backtest")
        row = backtest_row(reads.get_backtest(run_id))
        return with_etag(Response({**row, "trials": [backtest_row(trial) for trial in reads.trials_of(run_id)]}))


class BacktestCancelView(ApiView):
    """End a run or a search."""

    @extend_schema(request=None, responses={202: wire.BacktestSerializer})
    @idempotent
    def post(self, _request: Request, run_id: UUID) -> Response:
        run = services.cancel_backtest(self.ctx, run_id=run_id)
        return Response(backtest_row(run), status=status.HTTP_202_ACCEPTED)


class TearSheetView(ApiView):
    """The tear sheet as one HTML page."""

    @extend_schema(responses={(200, "text/html"): OpenApiResponse(OpenApiTypes.STR, description="The page")})
    def get(self, _request: Request, run_id: UUID) -> HttpResponse:
        selectors.may_view(self.ctx, "backtest")
        name = f'inline; filename="tearsheet-{run_id}.html"'
        headers = {"Content-Security-Policy": SHEET_POLICY, "Content-Disposition": name, "Cache-Control": "private"}
        return HttpResponse(reads.tear_sheet(run_id), content_type="text/html; charset=utf-8", headers=headers)


class StrategiesView(ApiView):
    """Every registered strategy: its words, hooks and parameters."""

    @extend_schema(responses=wire.StrategySerializer(many=True))
    def get(self, _request: Request) -> Response:
        selectors.may_view(self.ctx, "strategy")
        return Response(reads.strategies())


def plain(value: Any) -> Any:
    """A checked value as JSON keeps it: exact numbers and times as text."""
    return value if isinstance(value, bool | int | float | str | dict) else str(value)

"""The one Dash application: an empty page that fills by address, and the charts."""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Any

import dash
from dash import Input, Output, State
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from frontend import charts, pages, risk_charts
from frontend.backend import DjangoDashServer
from frontend.elements import Element, dcc, html
from frontend.frame import frame_of
from frontend.requests import current_request


class GekkoDash(dash.Dash):
    """Dash whose first page is a Django template without a single inline script."""

    def interpolate_index(self, *_parts: Any, **parts: Any) -> str:
        request = current_request()
        context = {
            # Dash's own markup: script tags with addresses, and a JSON block.
            "dash_scripts": mark_safe(parts["scripts"]),  # noqa: S308
            "dash_config": mark_safe(parts["config"]),  # noqa: S308
            "dash_entry": mark_safe(parts["app_entry"]),  # noqa: S308
            "frame": frame_of(request),
            "pages": pages.PAGES,
            "page": pages.page_of(request.path),
        }
        return render_to_string("gekko/app.html", context, request=request)

    def _config(self) -> Any:
        config = super()._config()  # type: ignore[no-untyped-call]  # dash
        # Nobody needs to know which interpreter runs here.
        config.pop("python_version", None)
        return config


@functools.cache
def application() -> tuple[GekkoDash, DjangoDashServer]:
    """The one application, with its routes set up before the first request can race for them."""
    app = GekkoDash(
        "gekko",
        backend=DjangoDashServer,
        title="Gekko",
        update_title="",
        assets_folder=str(settings.GEKKO_STATE_DIR / "no-assets"),
        include_assets_files=False,
        use_pages=False,
        pages_folder="",
        suppress_callback_exceptions=True,
        use_async=False,
        enable_mcp=False,
        compress=False,
        csrf_token_name=settings.CSRF_COOKIE_NAME,
        csrf_header_name="X-CSRFToken",
        serve_locally=True,
        add_log_handler=False,
    )
    # Dash makes the table by itself: a ready one it would take for a Flask application.
    app.server.secret_key = hmac.new(settings.SECRET_KEY.encode(), b"dash", hashlib.sha256).hexdigest()
    app.layout = layout()
    register(app)
    setup: Any = app._setup_server  # noqa: SLF001 - Dash would do it in the first request, and four at once break it
    setup()
    backend: Any = app.backend
    return app, backend


def layout() -> Element:
    """The same for everybody; what a page shows is decided per request."""
    return html.Div(
        [dcc.Location(id="url", refresh=False), html.Div(pages.loading(), id="page")], className="page-host"
    )


def register(app: GekkoDash) -> None:
    """All callbacks: the page for an address, and the charts on it."""

    @app.callback(Output("page", "children"), Input("url", "pathname"), State("url", "search"))
    def show_page(path: str | None, search: str | None) -> Any:
        return pages.render(current_request(), path or "/", search or "")

    charts.register(app)
    risk_charts.register(app)

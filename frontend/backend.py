"""Dash served by Django: each of its routes is an ordinary view, so sessions, CSRF, second factor and CSP all apply.

Dash 4.2 and newer take a backend class. This one only notes the routes that Dash wants; ``views_of`` turns them into
URL patterns. Nothing of Flask runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Final

from dash import _validate
from dash._get_app import app_context
from dash.backends.base_server import BaseDashServer
from dash.exceptions import DashException, DependencyException, InvalidResourceError, PreventUpdate
from dash.fingerprint import check_fingerprint
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotFound, JsonResponse
from django.urls import URLPattern, path

from frontend import packaged
from frontend.requests import CURRENT, DjangoRequest, DjangoResponse, current_request

SCRIPTS: Final = "_dash-component-suites"
Guard = Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]


@dataclass(frozen=True)
class Route:
    """One address that Dash answers."""

    pattern: str
    answer: Callable[..., Any]
    methods: tuple[str, ...]


@dataclass
class RouteTable:
    """What stands where a Flask application would: the routes, and the secret that signs handles."""

    name: str
    secret_key: str | None = None
    routes: list[Route] = field(default_factory=list)

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("Django serves this application; it is no WSGI application of its own")


class DjangoDashServer(BaseDashServer[RouteTable]):
    """The backend class to give to ``Dash(backend=...)``."""

    websocket_capability = False

    def __init__(self, server: RouteTable) -> None:
        super().__init__(server)
        self.server_type = "django"
        self.request_adapter = DjangoRequest
        self.response_adapter = DjangoResponse
        self._before: list[Callable[[], Any]] = []

    @staticmethod
    def create_app(name: str = "__main__", config: Any = None) -> RouteTable:  # noqa: ARG004 - Dash calls it so
        return RouteTable(name)

    def add_url_rule(self, rule: str, view_func: Any, endpoint: str | None = None, methods: Any = None) -> None:  # noqa: ARG002 - Dash calls it so
        self.server.routes.append(Route(rule.lstrip("/"), view_func, tuple(methods or ("GET",))))

    def before_request(self, func: Callable[[], Any]) -> None:
        self._before.append(func)

    def has_request_context(self) -> bool:
        return CURRENT.get(None) is not None

    def make_response(self, data: Any, mimetype: Any = None, content_type: Any = None, status: Any = None) -> Any:
        return HttpResponse(data, content_type=content_type or mimetype, status=status or 200)

    def jsonify(self, obj: Any) -> JsonResponse:
        return JsonResponse(obj, safe=False)

    def setup_component_suites(self, dash_app: Any) -> str:
        split: Any = check_fingerprint
        allowed: Any = _validate.validate_js_path

        def suite(package_name: str, fingerprinted_path: str) -> HttpResponseBase:
            inner, fingerprinted = split(fingerprinted_path)
            allowed(dash_app.registered_paths, package_name, inner)
            return packaged.serve(current_request(), package_name, inner, fingerprinted=bool(fingerprinted))

        dash_app._add_url(f"{SCRIPTS}/<str:package_name>/<path:fingerprinted_path>", suite)  # noqa: SLF001 - the hook Dash gives to backends
        return SCRIPTS

    def serve_callback(self, dash_app: Any) -> Callable[[], HttpResponse]:
        def dispatch() -> HttpResponse:
            body = DjangoRequest().get_json()
            notes = dash_app._initialize_context(body)  # noqa: SLF001 - as Dash's own backends do
            call = dash_app._prepare_callback(notes, body)  # noqa: SLF001
            values = dash_app._inputs_to_vals(notes.inputs_list + notes.states_list)  # noqa: SLF001
            run = dash_app._execute_callback(call, values, notes.outputs_list, notes)  # noqa: SLF001
            data = copy_context().run(run)
            answer: HttpResponse = notes.dash_response.set_response(data=data)
            return answer

        return dispatch

    # What Dash offers and this desk leaves to Django, or does without.

    def setup_index(self, dash_app: Any) -> None:
        """Pages are Django's: see ``frontend.urls``."""

    def setup_catchall(self, dash_app: Any) -> None:
        """An unknown address is Django's 404."""

    def register_assets_blueprint(self, blueprint_name: str, assets_url_path: str, assets_folder: str) -> None:
        """Static files are Django's."""

    def register_error_handlers(self) -> None:
        """Errors are Django's."""

    def after_request(self, func: Any) -> None:
        """Middleware is Django's."""

    def enable_compression(self) -> None:
        """Done where it pays, in ``packaged``."""

    def register_prune_error_handler(self, secret: str, prune_errors: bool) -> None:
        """No debugging pages here."""

    def register_timing_hooks(self, first_run: bool) -> None:
        """Timings come from the request's own metrics."""

    def register_callback_api_routes(self, callback_api_paths: Any) -> None:
        if callback_api_paths:
            raise RuntimeError("callbacks are no API; add a REST endpoint instead")

    def run(self, *_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("start the web process: it serves Dash with everything else")

    # Django's side.

    def urlpatterns(self, dash_app: Any, guard: Guard) -> Iterator[URLPattern]:
        """Dash's routes as URL patterns, every one behind ``guard`` but the libraries' own scripts.

        Those are in every copy of the packages, as static files are; refused to a page whose session ends while it
        loads, they would leave it broken instead of telling that the session has ended.
        """
        for route in self.server.routes:
            view = functools.partial(self._answer, dash_app, route)
            yield path(route.pattern, view if route.pattern.startswith(SCRIPTS) else guard(view))

    def _answer(self, dash_app: Any, route: Route, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if request.method not in route.methods and not (request.method == "HEAD" and "GET" in route.methods):
            return HttpResponse(status=405, headers={"Allow": ", ".join(route.methods)})
        with answering(dash_app, request):
            try:
                for prepare in self._before:
                    prepare()
                made = route.answer(**kwargs)
            except PreventUpdate:
                return HttpResponse(status=204)
            except (DependencyException, InvalidResourceError):
                return HttpResponseNotFound()
            except (DashException, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                return _not_understood(route, error)
        return made if isinstance(made, HttpResponseBase) else HttpResponse(made)


def _not_understood(route: Route, error: Exception) -> HttpResponse:
    """A malformed callback is the caller's fault; an error anywhere else is ours and goes on."""
    if "POST" not in route.methods or not _in_parsing(error):
        raise error
    return JsonResponse({"code": "invalid", "detail": "this is no request of the dashboard"}, status=400)


def _in_parsing(error: BaseException) -> bool:
    """Whether ``error`` arose before any callback ran."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "add_context":
            return False
        trace = trace.tb_next
    return True


class answering:  # noqa: N801 - used like a function in a with statement
    """Dash's notion of the present request and application, for the length of the block."""

    def __init__(self, dash_app: Any, request: HttpRequest) -> None:
        self._app, self._request = dash_app, request

    def __enter__(self) -> None:
        self._tokens = CURRENT.set(self._request), app_context.set(self._app)

    def __exit__(self, *_exc: object) -> None:
        CURRENT.reset(self._tokens[0])
        app_context.reset(self._tokens[1])

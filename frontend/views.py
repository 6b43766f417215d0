"""The pages that Django itself serves: the frame around Dash, and signing in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from apps.accounts.api.authentication import verified_session
from frontend import pages
from frontend.app import application
from frontend.backend import answering
from frontend.guard import private, signed_in_page


@require_safe
@ensure_csrf_cookie
@signed_in_page
def page(request: HttpRequest) -> HttpResponseBase:
    """Any page: the same frame, which Dash fills by address. 404 where no page is."""
    dash, _ = application()
    with answering(dash, request):
        index: Any = dash.index
        return HttpResponse(index(), status=200 if pages.page_of(request.path) else 404)


@require_safe
@ensure_csrf_cookie
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """Name and password, then the code; whoever is in already goes on."""
    target = safe_target(request)
    if verified_session(request) is not None:
        return HttpResponseRedirect(target)
    return private(render(request, "gekko/login.html", {"next": target}))


def safe_target(request: HttpRequest) -> str:
    """Where to go after signing in: an address of this host, or the first page."""
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=set()) or urlsplit(wanted).netloc:
        return "/"
    return wanted

"""Who may see the dashboard: nobody without a live session and a second factor."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.utils.http import urlencode

from apps.accounts.api.authentication import verified_session
from apps.core.api.problems import CONTENT_TYPE, problem

View = Callable[..., HttpResponseBase]


def signed_in_page(view: View) -> View:
    """A page: whoever is not signed in goes to sign in and comes back."""

    @functools.wraps(view)
    def check(request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        if verified_session(request) is None:
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}")
        return private(view(request, **kwargs))

    return check


def signed_in_data(view: View) -> View:
    """What scripts fetch: 401 as a problem, since a redirect would be taken for data and lost without a word."""

    @functools.wraps(view)
    def check(request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        if verified_session(request) is None:
            body = problem(
                request, status=401, code="not_authenticated", title="Sign in first", detail="The session has ended."
            )
            return JsonResponse(body, status=401, content_type=CONTENT_TYPE)
        return private(view(request, **kwargs))

    return check


def private(response: HttpResponseBase) -> HttpResponseBase:
    """Kept by no cache unless the view said otherwise."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response

"""A person at the desk of a running stack: signed in over REST with password and second factor."""

from __future__ import annotations

import base64
import time
import uuid
from datetime import datetime
from typing import Any, Final, TypeAlias

import httpx
from django_otp.oath import totp

from tests.support.stack import Stack, eventually

Row: TypeAlias = dict[str, Any]

STEP_S: Final = 30
VENUE: Final = "paper"
BRISK: Final[Row] = {"strategy": "ema_cross", "params": {"fast": 1, "slow": 2, "fraction": 0.05}}
"""Market orders at every turn of the bars, about one a second, without a forecast."""


class Refused(AssertionError):
    """The API answered with an error; the message is its problem document."""


class Authenticator:
    """The second factor. A code counts once, so the next one is waited for when all that are near were used."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b32decode(secret)
        self._last = 0
        self._drift = 0

    def code(self) -> str:
        """A code that was not used yet; waits up to half a minute for it."""
        while True:
            now = int(time.time()) // STEP_S
            for drift in (-1, 0, 1):
                if now + drift > self._last and abs(drift - self._drift) <= 1:
                    self._last, self._drift = now + drift, drift
                    return f"{totp(self._key, t0=-STEP_S * drift):06d}"
            time.sleep(0.2)


class Desk:
    """REST calls of one person. Everything asks the product; nothing looks past it."""

    def __init__(self, stack: Stack) -> None:
        credentials = stack.credentials()
        self._name, self._password = credentials["username"], credentials["password"]
        self.authenticator = Authenticator(credentials["totp_secret"])
        self.http = httpx.Client(base_url=f"{stack.web_url}/api/v1/", timeout=20)

    # -- calls

    def sign_in(self) -> None:
        """Both steps."""
        self.http.cookies.clear()
        self.get("auth/state/")
        first = self.post("auth/sign-in/", {"username": self._name, "password": self._password})
        assert first["state"] == "second_factor", first
        second = self.post("auth/second-factor/", {"code": self.authenticator.code()})
        assert second["state"] == "signed_in", second

    def get(self, path: str, **query: Any) -> Row:
        return _body(self.http.get(path, params=query))

    def post(self, path: str, data: Row, *, version: int | None = None, key: str = "") -> Row:
        """POST with CSRF token and idempotency key; ``version`` is sent as ``If-Match``."""
        headers = {
            "X-CSRFToken": self.http.cookies.get("csrftoken") or "",
            "Idempotency-Key": key or uuid.uuid4().hex,
            **({} if version is None else {"If-Match": f'"{version}"'}),
        }
        return _body(self.http.post(path, json=data, headers=headers))

    def rows(self, path: str, **query: Any) -> list[Row]:
        """All rows of a list, through all its pages."""
        page = self.get(path, limit=500, **query)
        found: list[Row] = page["results"]
        while page["next"]:
            page = _body(self.http.get(page["next"]))
            found += page["results"]
        return found

    def step_up(self, action: str, object_id: str) -> str:
        """Leave for one action, for a fresh code."""
        order = {"code": self.authenticator.code(), "action": action, "object_id": object_id}
        return str(self.post("auth/step-up/", order)["grant"])

    # -- trading

    def halt(self, reason: str, grant: str = "") -> Row:
        """``grant`` was taken before where every moment counts."""
        return self.post("trading/halts/", {"reason": reason, "grant": grant or self.step_up("trading.halt", VENUE)})

    def resume(self, reason: str) -> Row:
        return self.post("trading/resume/", {"reason": reason, "grant": self.step_up("trading.resume", VENUE)})

    def control(self) -> Row:
        return self.get("trading/control/")

    def wait_observed(self, state: str, seconds: float = 30) -> Row:
        """Until the loop itself reported that it is in ``state``."""

        def observed() -> Row | None:
            control = self.control()
            return control if control["observed_state"] == state else None

        return eventually(observed, f"the loop is {state}", seconds) or {}

    def count_fills(self) -> int:
        return len(self.rows("trading/fills/"))

    def wait_for_orders(self, more: int, what: str, seconds: float = 60) -> None:
        """Until ``more`` orders reached the venue than by now."""
        begun = time.time()

        def enough() -> bool:
            newest = self.get("trading/orders/", limit=100)["results"]
            sent = [row for row in newest if row["venue_order_id"] and _seconds(row["created_at"]) > begun]
            return len(sent) >= more

        eventually(enough, f"{more} orders {what}", seconds)

    # -- runs

    def active_run(self) -> Row | None:
        live = ("validating", "starting", "running", "healthy", "stopping")
        return next((run for run in self.get("deployments/runs/")["results"] if run["state"] in live), None)

    def stop_run(self, reason: str) -> None:
        """Stop what runs, and wait until it is over."""
        run = self.active_run()
        if run is None:
            return
        self.post(f"deployments/runs/{run['id']}/stop/", {"reason": reason}, version=run["version"])
        eventually(lambda: self.active_run() is None, "the run is stopped")

    def ensure_trading(self, content: Row) -> None:
        """A resumed loop with a run of ``content``; what is so already stays."""
        if self.control()["state"] != "ACTIVE":
            self.resume("a test goes on")
        run = self.active_run()
        if run is None or run["plan"]["strategy"] != content["strategy"] or run["state"] != "healthy":
            self.stop_run("make room")
            self.start_run(content)
        self.wait_observed("ACTIVE")

    def start_run(self, content: Row) -> Row:
        """A release with ``content`` on the instruments and model of the first one, run until it is healthy."""
        model = self.get("deployments/releases/")["results"][-1]
        release = self.post(
            "deployments/releases/",
            {
                "strategy": content["strategy"],
                "params": {**content["params"], **self._model_size(content, model)},
                "model_digest": model["model_digest"],
                "limits_version": model["limits_version"],
                "instruments": model["instruments"],
                "interval_ns": model["interval_ns"],
            },
        )
        grant = self.step_up("deployments.start", release["id"])
        run = self.post("deployments/runs/", {"release": release["id"], "grant": grant, "reason": "brisk"})

        def healthy() -> Row | None:
            found = self.get(f"deployments/runs/{run['id']}/")
            assert found["state"] != "failed", found
            return found if found["state"] == "healthy" else None

        return eventually(healthy, "the run is healthy", 60) or {}

    @staticmethod
    def _model_size(content: Row, model: Row) -> Row:
        wants = content["strategy"] == "forecast_portfolio"
        return {"input_size": model["params"]["input_size"]} if wants else {}

    # -- what the operator sees

    def incidents(self) -> dict[str, Row]:
        """Newest incident by fingerprint."""
        return {row["fingerprint"]: row for row in reversed(self.rows("incidents/"))}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _body(answer: httpx.Response) -> Row:
    if answer.status_code >= 500 and answer.status_code != 503:
        raise Refused(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")
    if answer.status_code >= 400:
        raise httpx.HTTPStatusError(
            f"{answer.request.url}: {answer.status_code} {answer.text[:500]}", request=answer.request, response=answer
        )
    found: Row = answer.json()
    return found

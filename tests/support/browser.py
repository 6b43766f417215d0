"""A real browser against a real server: web process and relay on the test database, and pages that are watched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import redis
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

from tests.factories.people import Person, signed_in

ROOT: Final = Path(__file__).resolve().parents[2]
AXE: Final = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
DESK: Final = {"width": 1440, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def chromium() -> str:
    """Path of the browser; RuntimeError when there is none."""
    names = (os.environ.get("GEKKO_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", _MAC)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError("no chromium here; run: sh tests/support/install_browser.sh")
    return found


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))


def _environment() -> dict[str, str]:
    """Of processes that share this test's database and broker."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}@/{database['NAME']}?host={quote(str(database['HOST']))}"
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "controlplane.settings.test", "DATABASE_URL": url}


@contextlib.contextmanager
def _process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=_environment(), stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def web_server(log: Path) -> Iterator[str]:
    """The web process; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("uvicorn", "controlplane.asgi:application", "--port", str(port), "--log-level", "warning")
    with _process(*command, log=log) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"the web process ended with {process.returncode}:\n{log.read_text()[-3000:]}")
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/login/", timeout=10)
                break
            time.sleep(0.1)
        yield url


@contextlib.contextmanager
def relay_process(log: Path) -> Iterator[None]:
    """The relay; it leads when the block begins."""
    with redis.Redis.from_url(settings.REDIS_URL) as client, _process("apps.streaming.relay", log=log):
        client.hdel("gekko:heartbeat", "relay")
        for _ in range(300):
            beat: Any = client.hget("gekko:heartbeat", "relay")
            if beat and json.loads(beat).get("detail", {}).get("leading"):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"the relay does not lead:\n{log.read_text()[-3000:]}")
        yield


def put_live(topic: str, key: str, data: dict[str, Any], seq: int = 1) -> None:
    """One value on the live stream, as the trading loop puts it."""
    entry = json.dumps({"topic": topic, "kind": "delta", "key": key, "seq": seq, "ts": time.time(), "data": data})
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.hset(f"gekko:last:{topic}", key, entry)
        client.xadd("gekko:live", {"data": entry}, maxlen=1000)


@dataclass
class Watched:
    """A page, and all that went wrong on it."""

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)
    refusals: tuple[int, ...] = ()
    """Statuses that the test brings about; Chromium prints each as an error."""

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", lambda answer: self._answer(answer.status, answer.url))

    def _console(self, message: ConsoleMessage) -> None:
        if any(f"status of {status} " in message.text for status in self.refusals):
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("data", "blob"):
            return
        if parts.netloc != urlsplit(self.base).netloc:
            self.problems.append(f"left the host: {request.url}")

    def _answer(self, status: int, url: str) -> None:
        if status >= 500:
            self.problems.append(f"status {status}: {url}")

    def visit(self, path: str) -> Page:
        """Go to ``path`` and wait until Dash has put the page there."""
        self.page.goto(self.base + path)
        self.page.locator("#main [data-page]").wait_for(timeout=20_000)
        return self.page

    def visit_any(self, path: str) -> Page:
        """Go to ``path``, whatever is there, a refusal too."""
        self.page.goto(self.base + path)
        self.page.locator("#main .page:not([aria-busy])").wait_for(timeout=20_000)
        return self.page

    def axe(self) -> list[str]:
        """Violations of WCAG 2.2 AA and axe's best practices, one line each."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {violation['help']} at {node['target']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def overflow(self) -> list[str]:
        """What sticks out to the right of the window."""
        wide: list[str] = self.page.evaluate(
            """() => {
              const limit = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= limit) return [];
              return [...document.querySelectorAll('body *')]
                .filter((node) => node.getBoundingClientRect().right > limit + 1)
                .slice(0, 8)
                .map((node) => `${node.tagName}#${node.id}.${node.className} ${node.getBoundingClientRect().right}`);
            }"""
        )
        return wide


def open_page(browser: Browser, base: str, who: Person | None = None, **options: Any) -> Watched:
    """A page in a browser context of its own; signed in when ``who`` is given."""
    context: BrowserContext = browser.new_context(**{"viewport": DESK, "bypass_csp": False, **options})
    if who is not None:
        cookies = signed_in(who).cookies
        context.add_cookies([{"name": name, "value": morsel.value, "url": base} for name, morsel in cookies.items()])
    return Watched(context.new_page(), base)

"""What the operator sees in the terminal: progress while starting, one screen when ready, one line per event."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import segno
from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text


def qr_text(data: str) -> str:
    """A QR code in half-block characters, dark on light, as authenticator apps expect."""
    out = io.StringIO()
    segno.make(data, error="l").terminal(out=out, compact=True, border=1)
    return out.getvalue()


def _add_credentials(table: Table, operator: dict[str, Any]) -> None:
    table.add_row("Password", Text(operator["password"], style="bold"))
    table.add_row("Second factor", "scan the code below with an authenticator app, or add the secret by hand:")
    table.add_row("Secret", Text(operator["totp_secret"]))
    table.add_row("Recovery codes", Text("  ".join(operator["recovery_codes"])))
    table.add_row("", "[yellow]All of this is shown this once.[/yellow]")


class Screen:
    """Progress and events; secrets are printed once, to a terminal or the file that the operator named."""

    def __init__(self, console: Console, credentials_file: Path | None = None) -> None:
        self.console = console
        self.credentials_file = credentials_file
        self._status: Status | None = None
        self._last_step = ""

    def step(self, text: str) -> None:
        """What is being done now; written to a file, each step is one line."""
        if not self.console.is_terminal:
            if text != self._last_step:
                self.console.print(text, highlight=False)
            self._last_step = text
            return
        if self._status is None:
            self._status = self.console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def event(self, text: str) -> None:
        at = datetime.now(UTC).strftime("%H:%M:%S")
        self.console.print(f"[dim]{at}[/dim] {text}", highlight=False)

    def failure(self, text: str) -> None:
        self._end_status()
        self.console.print(Text("Gekko cannot start: ", style="bold red") + Text(text), soft_wrap=True)

    def goodbye(self) -> None:
        self._end_status()
        self.console.print("Stopped. The books are kept; 'make up' goes on with them.")

    def ready(self, facts: dict[str, Any]) -> None:
        """The one screen: where, who, how to sign in, what is traded, how to stop."""
        self._end_status()
        operator = facts.get("operator") or {}
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        table.add_row("Open", f"[bold]{facts['url']}[/bold]")
        table.add_row("User", operator.get("username") or facts.get("username", "-"))
        if operator:
            self._save_credentials(operator)
            _add_credentials(table, operator)
        else:
            table.add_row("Password", "as shown at the first start; lost: .venv/bin/gekko operator reset")
        table.add_row("Trading", Text(facts.get("market", "-")))
        table.add_row("Strategy", Text(facts.get("strategy", "-")))
        table.add_row("Mode", f"[bold green]{facts.get('mode', 'paper').upper()}[/bold green] (no real money)")
        table.add_row("Stop", "Ctrl-C")
        self.console.print(Panel(table, title="Gekko is up", border_style="green", expand=False))
        if operator:
            self._second_factor(operator)

    def credentials(self, operator: dict[str, Any]) -> None:
        """A password and second factor, shown this once."""
        self._end_status()
        self._save_credentials(operator)
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        table.add_row("User", operator["username"])
        _add_credentials(table, operator)
        self.console.print(Panel(table, title="New credentials", border_style="yellow", expand=False))
        self._second_factor(operator)

    def _second_factor(self, operator: dict[str, Any]) -> None:
        """The code to scan and, on one unbroken line, what it says."""
        self.console.print(qr_text(operator["otpauth_uri"]), highlight=False)
        self.console.print(Text(operator["otpauth_uri"]), soft_wrap=True)

    def _save_credentials(self, operator: dict[str, Any]) -> None:
        if self.credentials_file is None:
            return
        descriptor = os.open(self.credentials_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(operator, file)

"""``gekko data``: bring history in, record feeds, and say what is there and what is missing."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from workers.adapters.feeds import PUBLIC, STREAMED, Access, FeedProblem, endpoints, listed
from workers.adapters.recording import RecordingDamaged, is_cut, read_header
from workers.adapters.store.check import Report, check
from workers.adapters.store.download import download
from workers.adapters.store.importer import ImportPlan, import_file
from workers.adapters.store.parquet_store import SeriesKey, Store, Written
from workers.adapters.store.schema import Kind, StoreError
from workers.adapters.store.tape import import_recording
from workers.adapters.store.texts import moment
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.venues import rules_of
from workers.live.recorder import Recorder

MAX_SHOWN = 20
console = Console(highlight=False, soft_wrap=True)


@contextmanager
def _told() -> Iterator[None]:
    """Show what cannot be done as one line."""
    try:
        yield
    except (StoreError, FeedProblem, GridError, RecordingDamaged, OSError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; the function takes what is done and the total, 0 while it is not known."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def _at(text: str | None, default: int) -> int:
    return moment(text, "--start or --end") if text else default


def _when(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def _summary(key: SeriesKey, written: Written) -> None:
    console.print(f"{key}: {written.added:,} rows added, {written.same:,} were there, {written.replaced:,} replaced")


def _access(venue: str) -> Access:
    """OANDA's token and account, from the environment; the other feeds are public."""
    if venue != "oanda":
        return PUBLIC
    return Access(os.environ.get("GEKKO_OANDA_TOKEN", ""), os.environ.get("GEKKO_OANDA_ACCOUNT", ""))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--store", "root", type=click.Path(path_type=Path), help="Folder of the store; default GEKKO_STORE.")
@click.pass_context
def data(ctx: click.Context, root: Path | None) -> None:
    """Market history: download, import, record, list and check."""
    ctx.obj = Store(root)


@data.command("download")
@click.argument("venue")
@click.argument("instrument")
@click.option("--interval", default="1m", show_default=True)
@click.option("--start", required=True, help="First start of a bar, as 2024-08-01 (UTC).")
@click.option("--end", help="Default: now.")
@click.option("--url", default="", help="Base of the venue's REST interface; default: the venue's own.")
@click.option("--replace", is_flag=True, help="Take the venue's values where the stored ones differ.")
@click.pass_obj
def download_command(
    store: Store,
    /,
    *,
    venue: str,
    instrument: str,
    interval: str,
    start: str,
    end: str | None,
    url: str,
    replace: bool,
) -> None:
    """Candles of INSTRUMENT from VENUE's REST interface. OANDA wants its token in GEKKO_OANDA_TOKEN."""
    key = SeriesKey(Kind.BARS, venue, instrument, interval)
    with _told(), _progress(str(key)) as advance:
        now = time.time_ns()
        written = asyncio.run(
            download(
                store,
                key,
                endpoints(rules_of(venue), url),
                start_ns=_at(start, 0),
                end_ns=min(_at(end, now), now),
                token=_access(venue).token,
                replace=replace,
                advance=advance,
            )
        )
    _summary(key, written)


@data.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--venue", help="Default for a recording: the recorded one.")
@click.option("--instrument", required=True)
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), default="bars", show_default=True)
@click.option("--interval", default="", help="Of bars; default: the commonest distance of two rows.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Map a column, such as time=opened_at.")
@click.option("--price", type=click.Choice(["mid", "bid", "ask"]), default="mid", help="Of bars with both sides.")
@click.option("--time-is-end", is_flag=True, help="The time of a bar is its end.")
@click.option("--timezone", default="UTC", show_default=True, help="Of times that name none.")
@click.option("--tick", default="", help="Price step; default: found in the data.")
@click.option("--lot", default="", help="Quantity step; default: found in the data.")
@click.option("--replace", is_flag=True, help="Take the new values where stored bars differ.")
@click.pass_obj
def import_command(store: Store, /, files: tuple[Path, ...], **options: object) -> None:
    """Bars, trades or quotes from CSV (also .gz and .zip), feather and parquet, or from recordings of ours."""
    for path in files:
        with _told(), _progress(path.name) as advance:
            if path.suffix == ".gz" and _is_recording(path):
                for key, done in _import_tape(store, path, options, advance).items():
                    _summary(key, done)
                continue
            plan, zone = _plan(options)
            imported = import_file(
                store,
                path,
                plan,
                zone=zone,
                replace=bool(options["replace"]),
                on_rows=lambda rows: advance(rows, 0),
                advance=advance,
            )
        _summary(imported.key, imported.written)
        if imported.rounded:
            console.print(f"{imported.rounded:,} quantities of {path.name} were rounded to {imported.grid.lot}")


def _plan(options: dict[str, object]) -> tuple[ImportPlan, ZoneInfo]:
    columns: dict[str, str] = {}
    for pair in options["columns"] or ():  # type: ignore[attr-defined]  # click's tuple of texts
        ours, mark, theirs = pair.partition("=")
        if not (ours and mark and theirs):
            raise click.BadParameter(f"expected OURS=THEIRS, was {pair!r}", param_hint="--column")
        columns[ours] = theirs
    if not options["venue"]:
        raise click.MissingParameter(param_hint="--venue", param_type="option")
    try:
        zone = ZoneInfo(str(options["timezone"]))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.BadParameter(f"unknown time zone {options['timezone']!r}", param_hint="--timezone") from error
    names = ("venue", "instrument", "interval", "price", "tick", "lot")
    texts = {name: str(options[name]) for name in names}
    kind = Kind(str(options["kind"]))
    return ImportPlan(**texts, kind=kind, columns=columns, time_is_end=bool(options["time_is_end"])), zone


def _is_recording(path: Path) -> bool:
    try:
        read_header(path)
    except (RecordingDamaged, OSError):
        return False
    return True


def _import_tape(
    store: Store, path: Path, options: dict[str, object], advance: Callable[[int, int], None]
) -> dict[SeriesKey, Written]:
    if not (options["tick"] and options["lot"]):
        raise StoreError(f"{path.name} is a recording: give --tick and --lot of {options['instrument']}")
    symbol = str(options["instrument"])
    instrument = Instrument(
        venue=read_header(path).venue,
        symbol=symbol,
        base=symbol,
        quote=symbol,
        tick=Decimal(str(options["tick"])),
        lot=Decimal(str(options["lot"])),
        min_lots=1,
        max_lots=10**15,
        min_notional=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )
    return import_recording(store, path, instrument, lambda rows: advance(rows, 0))


@data.command("record")
@click.argument("venue", type=click.Choice(STREAMED))
@click.argument("instruments", nargs=-1, required=True)
@click.option("--seconds", default=0.0, help="Default: until Ctrl-C.")
@click.option("--rest-url", default="", help="Default: the venue's own.")
@click.option("--stream-url", default="", help="Default: the venue's own.")
@click.option("--folder", type=click.Path(path_type=Path), help="Default: recordings/VENUE in the store.")
@click.pass_obj
def record_command(
    store: Store,
    /,
    *,
    venue: str,
    instruments: tuple[str, ...],
    seconds: float,
    rest_url: str,
    stream_url: str,
    folder: Path | None,
) -> None:
    """Every frame of VENUE's feed of INSTRUMENTS, with receive times, to compressed files.

    OANDA wants GEKKO_OANDA_TOKEN and GEKKO_OANDA_ACCOUNT; the other feeds are public.
    """
    where = endpoints(rules_of(venue), rest_url, stream_url)
    folder = folder or store.root / "recordings" / venue
    with _told():
        access = _access(venue)
        found = asyncio.run(listed(venue, instruments, where, access))
        recorder = Recorder(venue, found, where, folder, access=access)
        with console.status("connecting") as status:

            def tick() -> None:
                states = ", ".join(f"{symbol} {view.state.value}" for symbol, view in recorder.views.items())
                status.update(f"{recorder.frames:,} frames, {recorder.bytes / 1e6:,.1f} MB; {states}")

            try:
                asyncio.run(recorder.run(seconds, tick))
            except KeyboardInterrupt:
                console.print("stopped")
    console.print(f"{recorder.frames:,} frames, {recorder.bytes:,} bytes in {folder}")
    for reason, count in recorder.refused.items():
        console.print(f"{count:,} frames refused: {reason}")
    if not recorder.frames:
        raise click.ClickException(f"nothing came from {where.stream}: {recorder.feed.stats.last_disconnect}")


@data.command("list")
@click.pass_obj
def list_command(store: Store) -> None:
    """What is stored."""
    series = store.series()
    if not series:
        console.print(f"nothing in {store.root}; bring history with 'gekko data import' or 'download'")
        return
    line = "{:<18}{:<14}{:<8}{:<5}{:>12}  {:<21}{:<21}{:>10}{:>12}".format
    click.echo(line("venue", "instrument", "kind", "", "rows", "from", "to (UTC)", "tick", "lot"))
    with _told():
        for key in series:
            grid, report = store.grid(key), check(store, key)
            spans = (_when(report.first_ns), _when(report.last_ns))
            names = (key.venue, key.instrument, key.kind.value, key.interval)
            click.echo(line(*names, f"{report.rows:,}", *spans, f"{grid.tick:f}", f"{grid.lot:f}"))


@data.command("check")
@click.option("--venue", default="")
@click.option("--instrument", default="")
@click.option("--strict", is_flag=True, help="Fail for gaps outside weekends too.")
@click.pass_obj
def check_command(store: Store, venue: str, instrument: str, *, strict: bool) -> None:
    """Gaps, rows that cannot be right and cut recordings; nothing is changed. Exits with 1 for what is wrong."""
    chosen = [key for key in store.series() if (not venue or key.venue == venue) and instrument in ("", key.instrument)]
    if not chosen:
        raise click.ClickException(f"no such history in {store.root}; see 'gekko data list'")
    failed = False
    for key in chosen:
        with _told():
            report = check(store, key)
        _show(report)
        failed |= bool(report.bad) or (strict and any(not gap.weekend for gap in report.gaps))
    for path in sorted((store.root / "recordings").glob("*/*.gz")):
        with _told():
            if is_cut(path):
                console.print(f"{path}: cut off; it is readable to its last whole frame")
    sys.exit(1 if failed else 0)


def _show(report: Report) -> None:
    open_gaps = [gap for gap in report.gaps if not gap.weekend]
    weekends = len(report.gaps) - len(open_gaps)
    missing = f", {report.missing:,} missing" if report.missing else ""
    console.print(
        f"{report.key}: {report.rows:,} rows, {len(open_gaps):,} gaps{missing}, {weekends:,} weekends, "
        f"{len(report.bad):,} bad"
    )
    for gap in open_gaps[:MAX_SHOWN]:
        console.print(f"  nothing from {_when(gap.start_ns)} to {_when(gap.end_ns)}, {gap.missing or 'silence'}")
    if len(open_gaps) > MAX_SHOWN:
        console.print(f"  and {len(open_gaps) - MAX_SHOWN:,} more gaps")
    for line in report.bad:
        console.print(f"  {line}")


if __name__ == "__main__":
    data(prog_name="gekko data")

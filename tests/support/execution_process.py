"""A process with one trading loop and scripted forecasts, to be killed and stopped: ``python -m ... <journal> <url>``.

Says ``ready`` on standard output, then one JSON line per second with what it holds. SIGTERM ends it cleanly.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

from tests.support.execution import Desk


async def main(folder: Path, url: str) -> None:
    """Trade until SIGTERM."""
    desk = Desk(folder, url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: setattr(desk.forecasts, "silent", True))
    await desk.start()
    sys.stdout.write("ready\n")
    while not stop.is_set():
        state = {
            "fills": desk.books.fills,
            "reconciled": desk.loop.reconciled,
            "gaps": desk.loop.kernel.gaps,
            "open": desk.books.open_count,
        }
        sys.stdout.write(json.dumps(state) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(0.2)
    await desk.stop()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))

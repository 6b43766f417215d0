#!/bin/sh
# Every test, in pytest processes of their own: a browser driver and asyncio tests do not share an event loop.
cd "$(dirname "$0")/.." || exit 1
status=0
run() {
    .venv/bin/python -m pytest -q "$@" || status=1
}
run -m "not browser and not stack"
run -m "browser and not stack"
run -m "stack"
exit $status

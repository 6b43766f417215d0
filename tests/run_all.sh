#!/bin/sh
# Every test, in pytest processes of their own: a browser driver and asyncio tests do not share an event loop. Much of
# what is tested is waiting, so two processes share the work where no whole stack is running.
cd "$(dirname "$0")/.." || exit 1
status=0
run() {
    .venv/bin/python -m pytest -q "$@" || status=1
}
run -n 2 --dist loadfile -m "not browser and not stack"
run -n 2 --dist loadfile -m "browser and not stack"
run -m "stack"
exit $status

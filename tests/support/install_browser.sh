#!/bin/sh
# The browser tests drive Debian's chromium (or the one named by GEKKO_CHROMIUM); install it where it is missing.
set -e
[ -n "$GEKKO_CHROMIUM" ] && exit 0
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
[ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ] && exit 0
if command -v apt-get >/dev/null 2>&1; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    echo "Installing chromium for the browser tests"
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "No chromium found. Install Chrome or Chromium, or set GEKKO_CHROMIUM to its path." >&2
    exit 1
fi

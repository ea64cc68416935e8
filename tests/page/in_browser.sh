#!/bin/sh
# Opens a sample page in a headless Chromium. Skips (77) where node or chromium is missing.
# usage: in_browser.sh CHECKS.mjs PROGRAM-THAT-PRINTS-THE-PAGE
for tool in node chromium; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done
exec node "$(dirname -- "$0")/$1" "$2"

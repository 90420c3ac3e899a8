#!/usr/bin/env bash
# Sees that there is a Chromium for the dashboard's tests; they are skipped where it can't be had.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/os.sh

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
(install chromium fonts-dejavu-core) || say "without Chromium the dashboard's tests in it are skipped"

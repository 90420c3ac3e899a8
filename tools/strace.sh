#!/usr/bin/env bash
# Sees that there is strace for the tests of durability; they are skipped where it can't be had.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/os.sh

if command -v strace >/dev/null; then exit 0; fi
(install strace) || say "without strace the tests of durability are skipped"

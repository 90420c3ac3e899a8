#!/usr/bin/env bash
# Makes the Python environment in $1 from constraints.txt, or brings it up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/os.sh

venv=$1
uv_version=0.13.8

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local name
  for name in python3.11 python3 python3.12 python3.13; do
    if command -v "$name" >/dev/null && is_new_enough "$name"; then
      echo "$name"
      return
    fi
  done
  die "Python 3.11 or newer is needed; here is $(python3 --version 2>&1 || echo none). Install python3.11."
}

if ! [ -x "$venv/bin/python" ] || ! is_new_enough "$venv/bin/python"; then
  python=$(find_python)
  # Debian keeps ensurepip, which venv needs, in a package of its own.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    install "python$version-venv"
  fi
  say "making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

if [ "$("$venv/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  "$venv/bin/python" -m ensurepip -q 2>/dev/null || true
  "$venv/bin/python" -m pip install -q --disable-pip-version-check "uv==$uv_version"
fi

say "installing the Python packages of constraints.txt (PySpark is built from source at first: minutes)"
VIRTUAL_ENV="$PWD/$venv" "$venv/bin/uv" pip install -q --constraints constraints.txt \
  --build-constraints tools/build-constraints.txt -e '.[spark,retarget,testing,demo,tpcds,dev]'
# Where an index sends no validators, each environment builds PySpark anew: 1.4 GB in the cache each time.
"$venv/bin/uv" cache prune -q || true

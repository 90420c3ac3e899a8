#!/usr/bin/env bash
# Makes sure of a JDK (17 or newer) and Maven, and of nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/os.sh

# What Maven and Spark will use: JAVA_HOME where set, else the PATH's.
javac=${JAVA_HOME:+$JAVA_HOME/bin/}javac
java_major() { { "$javac" -version || true; } 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p'; }

missing=()
major=$(java_major)
if [ -z "$major" ] && [ -n "${JAVA_HOME:-}" ]; then
  die "JAVA_HOME is $JAVA_HOME, where there is no javac. Unset it, or point it at a JDK 17."
elif [ -z "$major" ]; then
  missing+=(openjdk-17-jdk-headless)
elif [ "$major" -lt 17 ]; then
  die "javac is version $major; Spark 4 needs 17 or newer. Set JAVA_HOME to a JDK 17 (Debian: openjdk-17-jdk-headless)."
fi
command -v mvn >/dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
  install "${missing[@]}"
  [ -n "$(java_major)" ] && command -v mvn >/dev/null ||
    die "${missing[*]} installed, yet javac or mvn is not on the PATH: $PATH"
fi

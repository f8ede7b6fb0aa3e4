#!/usr/bin/env bash
# Build the services on the official SDKs of compiled languages, each with its own toolchain and lock file,
# into the folder given as the argument. What cannot be built (no toolchain, no registry, too slow) is said
# loudly and is no failure: the tests that need it are skipped with the reason.
#
# One language at a time, five minutes for all of them at most; what has not changed is not built again.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "$1"
out="$(cd "$1" && pwd)"

# language, program it leaves, time limit in seconds, tool, command
build() {
  local language="$1" program="$out/$1/$2" limit="$3" tool="$4"
  shift 4
  mkdir -p "$out/$language"
  rm -f "$out/$language.log"
  if ! command -v "$tool" >/dev/null; then
    echo "WARNING: no $tool on the PATH: tests of the $language SDK will be skipped" >&2
    rm -f "$program"
    return
  fi
  if [ -e "$program" ] && [ -z "$(find "$here/$language" -type f -newer "$program")" ]; then
    return
  fi
  echo "building the $language services"
  if ! (cd "$here/$language" && timeout "$limit" nice -n 10 "$@") >"$out/$language.log" 2>&1; then
    echo "WARNING: the $language services could not be built: their tests will be skipped" >&2
    tail -n 15 "$out/$language.log" >&2
    rm -f "$program"
    return
  fi
  touch "$program"
}

build go service 80 go go build -mod=readonly -o "$out/go/service" .
build java service.jar 60 mvn mvn -q -B "-DoutputFolder=$out/java" clean package
build rust debug/interop-service 160 cargo cargo build -q --locked --target-dir "$out/rust"

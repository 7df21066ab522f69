#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests; one of them installs to a fresh prefix and builds the out-of-tree plugin
# against it. The last line is CTest's summary; before it stands what failed and how to run just that again.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/run.sh [--preset NAME] [--build-dir DIR] [--help]
  --preset NAME    a configure preset of CMakePresets.json: release (default), dev, asan, cuda
  --build-dir DIR  where to build (default: build-NAME)
END
}

preset=release
build_dir=
while [ $# -gt 0 ]; do
  case "$1" in
    --preset | --build-dir)
      [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --preset ]; then preset=$2; else build_dir=$(realpath -m "$2"); fi
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "run.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
build_dir=${build_dir:-$PWD/build-$preset}
jobs=$(nproc)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# part NAME COMMAND…: runs it, and stops with the command to repeat when it fails.
part() {
  local name=$1 started=$SECONDS
  shift
  echo "== $name: $*"
  if ! "$@"; then
    echo "FAILED: $name. Run it again with:" >&2
    printf '  cd %q && ' "$PWD" >&2
    printf '%q ' "$@" >&2
    echo >&2
    exit 1
  fi
  echo "== $name: $((SECONDS - started)) s"
}

test_all() {
  local started=$SECONDS log=$scratch/ctest.log command=(ctest --preset "$preset" -j "$jobs")
  if [ "$build_dir" != "$PWD/build-$preset" ]; then
    command=(ctest --test-dir "$build_dir" --output-on-failure --timeout 600 --no-tests=error -j "$jobs")
  fi
  echo "== test: ${command[*]}"
  if ! "${command[@]}" | tee "$log"; then
    echo "FAILED: test. Run the failed tests again with:" >&2
    printf '  cd %q && %s --rerun-failed\n' "$PWD" "${command[*]}" >&2
    grep -E '[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$log" || true
    exit 1
  fi
  echo "== test: $((SECONDS - started)) s"
  grep -E '[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$log"
}

# 3: the script does not know this distribution; CMake says what is missing.
part "install packages" bash -c 'bash jobs/install_dependencies.sh || [ $? -eq 3 ]'
part configure bash jobs/configure.sh --preset "$preset" --build-dir "$build_dir"
part build cmake --build "$build_dir" -j "$jobs"
test_all

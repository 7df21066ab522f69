#!/usr/bin/env bash
# The tests of units under AddressSanitizer and UndefinedBehaviorSanitizer, in one process each: those without the label system,
# and without mpirun, whose libraries keep memory to the end.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/sanitized.sh [--build-dir DIR] [--help]
  --build-dir DIR  where to build (default: build-asan)
END
}

build_dir=
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir)
      [ $# -ge 2 ] || { echo "sanitized.sh: $1 needs a value" >&2; exit 2; }
      build_dir=$(realpath -m "$2")
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "sanitized.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
build_dir=${build_dir:-$PWD/build-asan}
cmake --preset asan -B "$build_dir" -DCARAVAN_CUDA=OFF
cmake --build "$build_dir" --target unit_tests -j "$(nproc)"
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error -j "$(nproc)" -L '^unit$' -LE '^(mpi|slow|system)$' -E '^base_format$'

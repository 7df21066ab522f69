#!/usr/bin/env bash
# Tests of units under AddressSanitizer and UndefinedBehaviorSanitizer, built with -O1 (the preset asan): those of core, io, parallel
# and the plugins that run in one process. cmake/CaravanAddTest.cmake leaves out, for their time, what needs jobs/ (a third of the
# build), plans and the mesh, and run_recompute; and what does not go with a sanitizer: what starts mpirun, whose libraries keep
# memory, a library that must be loaded first, a malloc of its own, and readers in a process whose limits leave a sanitizer no room.
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
cmake --build "$build_dir" --target sanitized_tests -j "$(nproc)"
echo "== sanitized: built in $SECONDS s"
# Tests ask for more memory than there is and read what they must not: both have to end as without a sanitizer.
export ASAN_OPTIONS=allocator_may_return_null=1:handle_segv=0
# Not the reference against itself and every number of writers, which take minutes; not what is read in a process with limits (above).
export GTEST_FILTER='-*Agrees/reference_*:*/Sharded.*:ForeignShard.*'
export LSAN_OPTIONS="suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error -j "$(nproc)" -L '^sanitized$'
echo "== sanitized: $SECONDS s"

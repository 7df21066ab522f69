#!/usr/bin/env bash
# Tests of units under AddressSanitizer and UndefinedBehaviorSanitizer, built with -O1 (the preset asan): those of core, io, parallel
# and the plugins that run in one process. cmake/CaravanAddTest.cmake leaves out what needs jobs/ and what is plans of vectors alone,
# which own no memory by themselves and would take a third of the build; what starts mpirun, whose libraries keep memory; programs
# with a library loaded before the sanitizer's, or a malloc of their own; and readers in a process with limits that no sanitizer lives within.
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
# Not the reference against itself and writers of rows beside those of boxes, which take minutes (as run_recompute does), nor what is
# read in a process with limits (above), nor a comparison whose tolerance is of sums as the release build rounds them.
export GTEST_FILTER='-*Agrees/reference_*:Writers/Sharded.*:ForeignShard.*:*one_micro_batch_of_four_is_four_of_one/host_llama4'
export LSAN_OPTIONS="suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error -j "$(nproc)" -L '^sanitized$'
echo "== sanitized: $SECONDS s"

#!/usr/bin/env bash
# Fuzzes the readers of outside files with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer. Fails on a crash, on an input
# that takes more than 10 s, and when a reader takes more memory than its bound. Needs clang (jobs/install_dependencies.sh).
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/fuzz/run.sh [--seconds N] [--target NAME]… [--build-dir DIR] [--findings DIR] [--keep] [--list] [--help]
  --seconds N      for each target (default: 10)
  --target NAME    only this one; may be given several times (default: all)
  --build-dir DIR  where to build (default: build-fuzz)
  --findings DIR   where inputs go that end a reader (default: DIR of the build + /findings)
  --keep           adds what reaches new code to tests/fuzz/corpus, in its smallest form
  --list           prints the targets and stops
END
}

cd "$(dirname "$0")/../.."
corpora=$PWD/tests/fuzz/corpus
mapfile -t known < <(find "$corpora" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
seconds=10
targets=()
build_dir=$PWD/build-fuzz
findings=
keep=no
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds | --target | --build-dir | --findings)
      [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --seconds) seconds=$2 ;;
        --target) targets+=("$2") ;;
        --build-dir) build_dir=$(realpath -m "$2") ;;
        --findings) findings=$(realpath -m "$2") ;;
      esac
      shift 2
      ;;
    --keep) keep=yes; shift ;;
    --list) printf '%s\n' "${known[@]}"; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "run.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
[[ $seconds =~ ^[1-9][0-9]{0,5}$ ]] || { echo "run.sh: --seconds $seconds (a whole number from 1)" >&2; exit 2; }
[ "${#targets[@]}" -gt 0 ] || targets=("${known[@]}")
for target in "${targets[@]}"; do
  [[ " ${known[*]} " == *" $target "* ]] || { echo "run.sh: no target '$target' (known: ${known[*]})" >&2; exit 2; }
done
findings=${findings:-$build_dir/findings}
mkdir -p "$findings"
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

build() {
  local launcher=()
  if command -v ccache > /dev/null; then launcher+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake --preset fuzz -B "$build_dir" "${launcher[@]}" > "$scratch/cmake.log" || { cat "$scratch/cmake.log" >&2; return 1; }
  cmake --build "$build_dir" -j "$(nproc)" --target "${targets[@]/#/fuzz_}"
}

# longest TARGET: bytes of an input.
longest() {
  case "$1" in
    sentencepiece | tokenizer_json | foreign_hdf5) echo 16384 ;;
    *) echo 4096 ;;
  esac
}

# limits TARGET: what libFuzzer is told of memory and time. A foreign HDF5 file may use 20 s of its child's processor.
limits() {
  local timeout=10
  [ "$1" = foreign_hdf5 ] && timeout=60
  printf '%s\n' -rss_limit_mb=2048 -malloc_limit_mb=512 "-timeout=$timeout" -detect_leaks=0 "-max_len=$(longest "$1")"
}

# A fuzzer that leaves its own time limit unheeded is killed a minute after it.
fuzz() {
  local target=$1 log=$scratch/$1.log grown=$scratch/$1 options
  mkdir -p "$grown"
  mapfile -t options < <(limits "$target")
  if ! timeout -s KILL $((seconds + 60)) "$build_dir/tests/fuzz/fuzz_$target" "${options[@]}" \
    "-max_total_time=$seconds" -print_final_stats=1 "-artifact_prefix=$findings/$target-" \
    "$grown" "$corpora/$target" > "$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "FAILED: $target. Inputs that end it are in $findings" >&2
    return 1
  fi
  awk -v target="$target" '
    /stat::number_of_executed_units/ { calls = $2 }
    /stat::average_exec_per_sec/ { speed = $2 }
    /stat::peak_rss_mb/ { memory = $2 }
    / cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") cover = $(i + 1) }
    END { printf "%-18s %10d inputs %8d a second %6d MiB %6s edges\n", target, calls, speed, memory, cover }' "$log"
}

# Puts the smallest set of inputs that reaches what all reach into the corpus; names that people gave stay.
keep_new() {
  local target=$1 merged=$scratch/merged-$1 options
  mkdir -p "$merged"
  mapfile -t options < <(limits "$target")
  cp "$corpora/$target"/* "$merged"
  "$build_dir/tests/fuzz/fuzz_$target" "${options[@]}" -merge=1 "$merged" "$scratch/$target" > "$scratch/merge.log" 2>&1
  cp -n "$merged"/* "$corpora/$target"
}

build
failed=()
for target in "${targets[@]}"; do
  fuzz "$target" || failed+=("$target")
  if [ "$keep" = yes ]; then keep_new "$target"; fi
done
[ "${#failed[@]}" -eq 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }

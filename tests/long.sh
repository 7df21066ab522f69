#!/usr/bin/env bash
# The long form of the tests: what the everyday form does a few times, many times. With --minutes, parts that would not end in
# time are named and left out.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/long.sh [--build-dir DIR] [--minutes N] [--list] [--help]
  --build-dir DIR  a build with tests (default: build-release)
  --minutes N      start no part that would end later (default: 0, all parts)
  --list           print the parts and the minutes that each takes on two idle cores, and stop
END
}

# minutes, name, command
parts() {
  cat << 'END'
1|2,000 changed bytes of token shards|CARAVAN_SHARD_CHANGES=2000 ctest --test-dir "$build_dir" --no-tests=error --output-on-failure -R '^data_shard_changes$'
5|600 changed bytes of each kind of HDF5 file|CARAVAN_BYTES=600 ctest --test-dir "$build_dir" --no-tests=error --output-on-failure -R '^inspect_one_byte$'
9|200 kills while saving, 1,000 flips and cuts of checkpoints|bash tests/reliability.sh --build-dir "$build_dir"
4|8 ranks: pipelines, experts, context, matrices, exchanges|ctest --test-dir "$build_dir" --no-tests=error --output-on-failure -L '^np8$'
7|experts over ranks: 96 models for each layout|CARAVAN_EXPERT_CASES=96 ctest --test-dir "$build_dir" --no-tests=error --output-on-failure -R '^jobs_experts'
3|context over 8 ranks: 4 models for each layout|CARAVAN_CONTEXT_CASES=4 ctest --test-dir "$build_dir" --no-tests=error --output-on-failure -R '^jobs_context.np8$'
9|the host device for AVX2 and AVX-512 in one build: operators, threads, choice|cmake --preset portable -DCARAVAN_CUDA=OFF && cmake --build build-portable --target caravan caravan_plugins test_device_host test_device_host_threads test_device_against_reference test_plugin_registry && ctest --test-dir build-portable --no-tests=error --output-on-failure -R '^(device_host|plugin_registry)'
4|experts over 16 ranks|. jobs/launcher.sh; set_launcher "$build_dir"; CARAVAN_EXPERT_CASES=2 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1 "${launcher[@]}" -n 16 "$build_dir/tests/jobs/test_jobs_experts"
20|Open MPI is not the only MPI: builds and tests with MPICH|bash tests/mpich.sh
60|builds without each optional package|bash tests/base/hidden_packages.sh --work . --build
9|fuzzing of every reader, 30 s each|bash tests/fuzz/run.sh --seconds 30
END
}

build_dir=build-release minutes=0
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir | --minutes)
      [ $# -ge 2 ] || { echo "long.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --minutes ]; then minutes=$2; else build_dir=$(realpath -m "$2"); fi
      shift 2
      ;;
    --list) parts | cut -d '|' -f 1,2; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "long.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
[[ $minutes =~ ^[0-9]+$ ]] || { echo "long.sh: --minutes $minutes (a whole number is wanted)" >&2; exit 2; }
[ -d "$build_dir" ] || { echo "long.sh: no build in $build_dir. Run tests/run.sh first?" >&2; exit 2; }
export build_dir OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

failed=()
while IFS='|' read -r -u 3 needed name command; do
  if [ "$minutes" -gt 0 ] && [ $((SECONDS + needed * 60)) -gt $((minutes * 60)) ]; then
    echo "== left out, it takes $needed minutes: $name ($command)"
    continue
  fi
  started=$SECONDS
  echo "== $name: $command"
  bash -c "$command" || failed+=("$name")
  echo "== $name: $((SECONDS - started)) s"
done 3< <(parts)
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi

#!/usr/bin/env bash
# The long form of the tests that break things: more kills, more damage.
set -euo pipefail

usage() {
  cat << 'USAGE'
usage: tests/reliability.sh [--build-dir DIR] [--kills N] [--flips N] [--bytes N] [--shard-bytes N] [--help]
  --build-dir DIR  a build with tests (default: build-release)
  --kills N        how often a run of two ranks is killed while it saves (default 200, about 6 minutes)
  --flips N        how many bits are flipped or files cut in a checkpoint (default 1000)
  --bytes N        how many bytes are changed, one at a time, in each kind of HDF5 file (default 600)
  --shard-bytes N  the same in token shards with a manifest, and in some without (default 2000)
Ends with code 0 when every run resumed from its newest checkpoint with undisturbed numbers, and all damage was named.
USAGE
}

build_dir=build-release kills=200 flips=1000 bytes=600 shard_bytes=2000
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir | --kills | --flips | --bytes | --shard-bytes)
      [ $# -ge 2 ] || { echo "reliability.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --build-dir) build_dir=$(realpath -m "$2") ;;
        --kills) kills=$2 ;;
        --flips) flips=$2 ;;
        --bytes) bytes=$2 ;;
        --shard-bytes) shard_bytes=$2 ;;
      esac
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "reliability.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
[ -d "$build_dir" ] || { echo "reliability.sh: no build in $build_dir. Run tests/run.sh first?" >&2; exit 2; }
export CARAVAN_KILLS=$kills CARAVAN_FLIPS=$flips CARAVAN_BYTES=$bytes CARAVAN_SHARD_CHANGES=$shard_bytes
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
exec ctest --test-dir "$build_dir" --no-tests=error --verbose \
  -R '^(io_random_damage|io_every_fault|jobs_kill_loop|inspect_one_byte|data_shard_changes)$'

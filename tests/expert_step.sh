#!/usr/bin/env bash
# What it costs to divide experts over two ranks, one a core: the step of two ranks that hold half of the experts each, against what
# it is made of.
#
#   divided  median step of 2 ranks, parallel.expert=2, E experts
#   alone    median step of 1 rank with as many tokens (so as many rows of experts) as each of the two, and E / 2 experts
#   rows     L · (dispatch + combine and the backward of both), as bench dispatch times them for random routing, for L layers of experts
#            and one micro-batch a step
#
# The bar: divided <= 1.25 · (alone + rows). Besides rows the two ranks exchange the weights and gradients of dense parameters, and
# share the memory of one machine; both are in the 25 %. Each is measured ROUNDS times, in turn; medians of medians are compared.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/expert_step.sh [--build-dir DIR] [--rounds N] [--help]
  --build-dir DIR  a release build (default: build-release)
  --rounds N       how often each of the three is measured, in turn (default: 3)
END
}

build_dir=build-release rounds=3
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir | --rounds)
      [ $# -ge 2 ] || { echo "expert_step.sh: $1 needs a value" >&2; exit 2; }
      [ "$1" = --rounds ] && rounds=$2 || build_dir=$2
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "expert_step.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
caravan=$(realpath "$build_dir")/bin/caravan
experts=4 layers=4 width=512 sequence=512 batch=4

two() { mpirun --oversubscribe --bind-to core -n 2 "$caravan" "$@" 2> "$errors" || { cat "$errors" >&2; exit 1; }; }
one() { mpirun --bind-to core -n 1 "$caravan" "$@" 2> "$errors" || { cat "$errors" >&2; exit 1; }; }
number() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }
median() { sort -g | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2}'; }
step=(bench step --device host --preset cpu-512 --sequence "$sequence" --batch "$batch" --repeats 5 --json)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
errors=$work/errors
for ((round = 1; round <= rounds; ++round)); do
  two "${step[@]}" experts=$experts --parallel data_shard=2 expert=2 | number 'd["median_s"]' >> "$work/divided"
  one "${step[@]}" experts=$((experts / 2)) | number 'd["median_s"]' >> "$work/alone"
  two bench dispatch --device host --experts $experts --width $width --tokens $((sequence * batch)) --json |
    number '[r["sum_s"] for r in d["routings"] if r["routing"] == "dealt"][0]' >> "$work/rows"
done
divided=$(median < "$work/divided") alone=$(median < "$work/alone") rows=$(median < "$work/rows")
awk -v d="$divided" -v a="$alone" -v r="$rows" -v l=$layers 'BEGIN {
  printf "divided  %.4f s\nalone    %.4f s\nrows     %.4f s (%d layers of %.4f s)\n", d, a, l * r, l, r
  ratio = d / (a + l * r)
  printf "divided / (alone + rows) = %.3f (bar: 1.25)\n", ratio
  exit ratio > 1.25 }'

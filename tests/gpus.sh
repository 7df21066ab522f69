#!/usr/bin/env bash
# What two GPUs of one host are worth: every row of docs/gpus.md, each a run of `caravan bench step`, beside its bar. Rows that need
# both GPUs are compared with one GPU of the same run.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/gpus.sh [--build-dir DIR] [--rows PATTERN] [--repeats N] [--list] [--help]
  --build-dir DIR  a build with the device cuda (default: build-cuda)
  --rows PATTERN   only rows whose names match this regular expression; what they are compared with runs too
  --repeats N      steps that are timed in each (default: 7)
  --list           print the rows and stop
Needs two GPUs with peer access. Ends with code 1 where a bar is missed; bars in tokens/s are for NVIDIA H200.
END
}

# name | GPUs | least tokens/s of a GPU, or - | row to compare with: least ratio, or - | options
rows() {
  cat << 'END'
mini8 alone|1|-|-|--preset bench-mini8 --batch 4 --sequence 4096
mini8 sharded|2|120000|mini8 alone:0.90|--preset bench-mini8 --batch 4 --sequence 4096 --parallel data_shard=2
mini8 sharded, experts|2|118000|-|--preset bench-mini8 --batch 4 --sequence 4096 --parallel data_shard=2 expert=2
mini8 gathered once|2|120000|mini8 alone:0.90|--preset bench-mini8 --batch 4 --sequence 4096 --parallel data_shard=2 reshard=never
mini8 replicated|2|-|mini8 alone:0.90|--preset bench-mini8 --batch 4 --sequence 4096
mini8 tensor|2|80000|-|--preset bench-mini8 --batch 4 --sequence 4096 --parallel tensor=2
mini8 tensor, async|2|88000|-|--preset bench-mini8 --batch 4 --sequence 4096 --parallel tensor=2 async_tensor=true
mini8 context|2|70000|-|--preset bench-mini8 --batch 1 --sequence 32768 positions=32768 --parallel context=2
mini8 context, experts|2|70000|-|--preset bench-mini8 --batch 1 --sequence 32768 positions=32768 --parallel context=2 expert=2
scratch alone|1|-|-|--preset bench-scratch --batch 16 --sequence 1024
scratch replicated|2|-|scratch alone:0.75|--preset bench-scratch --batch 16 --sequence 1024
scout2 2 x 8192|2|50000|-|--preset bench-scout2 --batch 2 --sequence 8192 --parallel data_shard=2 expert=2
scout2 1 x 8192|2|43000|-|--preset bench-scout2 --batch 1 --sequence 8192 --parallel data_shard=2 expert=2
scout2 tensor, 2 x 8192|2|-|scout2 1 x 8192:0.80|--preset bench-scout2 --batch 2 --sequence 8192 --parallel tensor=2 expert=2
mini16 1f1b|2|-|-|--preset bench-mini16 --batch 1 --sequence 4096 --parallel pipeline=2 microbatches=16 schedule=1f1b
mini16 zbv|2|56000|mini16 1f1b:1.03|--preset bench-mini16 --batch 1 --sequence 4096 --parallel pipeline=2 microbatches=16 schedule=zbv
mini16 v_half|2|-|mini16 1f1b:0.98|--preset bench-mini16 --batch 1 --sequence 4096 --parallel pipeline=2 microbatches=16 schedule=v_half
END
}

build_dir=build-cuda pattern=. repeats=7
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir | --rows | --repeats)
      [ $# -ge 2 ] || { echo "gpus.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --build-dir) build_dir=$(realpath -m "$2") ;;
        --rows) pattern=$2 ;;
        --repeats) repeats=$2 ;;
      esac
      shift 2
      ;;
    --list) rows; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "gpus.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
caravan=$(realpath -m "$build_dir")/bin/caravan
[ -x "$caravan" ] || { echo "gpus.sh: no $caravan. Build with cmake --preset cuda?" >&2; exit 2; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

declare -A rate=()
# NAME GPUS OPTIONS: the tokens/s of one GPU, or nothing where the run failed; once for each name.
measure() {
  local name=$1 gpus=$2 options=$3
  [ -z "${rate[$name]+known}" ] || return 0
  # shellcheck disable=SC2086 # options are words
  if mpirun --bind-to none -n "$gpus" "$caravan" bench step --device cuda --repeats "$repeats" --json $options \
    > "$work/out" 2> "$work/err"; then
    rate[$name]=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["tokens_per_s_and_rank"])' < "$work/out")
  else
    rate[$name]=
    tail -n 3 "$work/err" >&2
  fi
}

# RATE BAR: "met", "missed by N %" or nothing without a bar.
verdict() { awk -v r="$1" -v b="$2" 'BEGIN { if (b == "-") exit; if (r >= b) print "met"; else printf "missed by %.1f %%\n", 100 * (1 - r / b) }'; }

failed=0
printf '%-24s%14s%12s%18s%10s%18s\n' row "tokens/s" bar "" ratio ""
while IFS='|' read -r -u 3 name gpus least other options; do
  [[ $name =~ $pattern ]] || continue
  measure "$name" "$gpus" "$options"
  if [ -z "${rate[$name]}" ]; then
    echo "$name: failed"
    failed=1
    continue
  fi
  by_rate=$(verdict "${rate[$name]}" "$least") ratio=- by_ratio=
  if [ "$other" != - ]; then
    IFS='|' read -r _ other_gpus _ _ other_options <<< "$(rows | grep "^${other%:*}|")"
    measure "${other%:*}" "$other_gpus" "$other_options"
    if [ -n "${rate[${other%:*}]}" ]; then
      ratio=$(awk -v a="${rate[$name]}" -v b="${rate[${other%:*}]}" 'BEGIN { printf "%.3f", a / b }')
      by_ratio=$(verdict "$ratio" "${other#*:}")
    else
      failed=1
    fi
  fi
  printf '%-24s%14.0f%12s%18s%10s%18s\n' "$name" "${rate[$name]}" "$least" "$by_rate" "$ratio" "$by_ratio"
  [[ "$by_rate$by_ratio" != *missed* ]] || failed=1
done 3< <(rows)
exit "$failed"

#!/usr/bin/env bash
# From nothing to a trained model in one command: installs what is missing, builds, learns a tokenizer, prepares the text, trains on
# two MPI ranks, is killed on purpose, resumes, inspects the checkpoint, generates, and draws the curve.
set -euo pipefail

usage() {
  cat << 'END'
usage: [DATA=FILE] [RANKS=2] jobs/quickstart.sh [--short] [--output DIR] [--build-dir DIR] [--help]
  --short          12 steps of training in place of 180, to see that all of it works
  --output DIR     where tokenizer, token shards and the run go (default: runs/quickstart; made anew)
  --build-dir DIR  where to build (default: build-release); of what was configured before, MPI and options stay
  DATA=FILE        plain text to learn instead of the King James Bible; a blank line ends a document
  RANKS=N          MPI ranks (default: 2)
END
}

cd "$(dirname "$0")/.."
source_dir=$PWD
output=$PWD/runs/quickstart
build_dir=$PWD/build-release
overrides=() kill_after=45
while [ $# -gt 0 ]; do
  case "$1" in
    --output | --build-dir)
      [ $# -ge 2 ] || { echo "quickstart.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --output ]; then output=$(realpath -m "$2"); else build_dir=$(realpath -m "$2"); fi
      shift 2
      ;;
    --short)
      overrides=(train.steps=12 train.warmup_steps=4 checkpoint.every=4 validation.every=12 validation.batches=4)
      kill_after=6
      shift
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "quickstart.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
data=${DATA:+$(realpath -e "$DATA")}
ranks=${RANKS:-2}
. jobs/launcher.sh

export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-5} # seconds that Ctrl-C leaves the ranks to save

say() { printf '\n== %s\n' "$*"; }

# Configures as tests/run.sh does, so that either may come first; only what the quick start needs is built.
build() {
  local started=$SECONDS
  bash jobs/configure.sh --preset release --build-dir "$build_dir" > "$build_dir.log" 2>&1 || { cat "$build_dir.log" >&2; exit 1; }
  cmake --build "$build_dir" --target caravan caravan_plugins -j "$(nproc)"
  say "built in $((SECONDS - started)) s; load $(cut -d ' ' -f 1-3 /proc/loadavg)"
}

train() {
  "${launcher[@]}" -n "$ranks" "$caravan" train "$source_dir/jobs/quickstart.yaml" output=run "${overrides[@]}"
}

# Starts training, waits for a step after the first checkpoint, and kills every rank without warning.
train_and_kill() {
  train &
  local started_ranks=$!
  while kill -0 "$started_ranks" 2> /dev/null; do
    if [ "$(wc -l < run/metrics.jsonl 2> /dev/null || echo 0)" -ge "$kill_after" ]; then
      pkill -KILL -f "^$caravan train $source_dir/jobs/quickstart.yaml" || true
      break
    fi
    sleep 0.2
  done
  wait "$started_ranks" 2> /dev/null || true
}

say "1/8 packages"
bash jobs/install_dependencies.sh || [ $? -eq 3 ] # 3: it does not know this distribution; CMake says what is missing
say "2/8 build in $build_dir"
build
caravan=$build_dir/bin/caravan
set_launcher "$build_dir"
started=$SECONDS
export OMP_NUM_THREADS=1 # one rank a core; only now, because nproc obeys it too

say "3/8 text and tokenizer in $output"
rm -rf "$output"
mkdir -p "$output"
cd "$output"
if [ -n "$data" ]; then cp "$data" text.txt; else bash "$source_dir/jobs/kjv_text.sh" > text.txt; fi
mkdir -p shards
"$caravan" tokenizer train --input text.txt --vocab-size 2048 --output shards/tokenizer.json
"$caravan" data prepare --input text.txt --tokenizer shards/tokenizer.json --output shards --document-separator blank-line

say "4/8 train on $ranks ranks, and pull the plug after $kill_after steps"
train_and_kill
say "5/8 the same command continues from the newest complete checkpoint"
train
say "6/8 what stands in the checkpoint"
"$caravan" inspect run
say "7/8 text from the model"
"$caravan" generate --model run --prompt "And the LORD said unto" --max-new-tokens 120 --temperature 0.7 --seed 3
say "8/8 the curve of the run"
"$caravan" plot run
say "done in $((SECONDS - started)) s after the build; everything is in $output"

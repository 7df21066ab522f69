#!/usr/bin/env bash
# Trains the same model twice on text: on one GPU, undisturbed; and on two GPUs with sharded parameters and divided experts, killed
# twice without warning and continued on one GPU. Both must end with the same validation loss.
set -euo pipefail

usage() {
  cat << 'END'
usage: tests/gpu_kills.sh --data DIR [--build-dir DIR] [--device cuda] [--steps N] [--output DIR] [--help]
  --data DIR       token shards, as `caravan data prepare` writes them
  --build-dir DIR  a build with the device (default: build-cuda)
  --device NAME    cuda, or host to try it without GPUs (default: cuda)
  --steps N        of both runs (default: 500); the second is killed after a third and after two thirds of them
  --output DIR     where the runs go (default: a temporary folder, removed at the end)
Ends with code 1 where the losses differ by more than 0.5 %.
END
}

data='' build_dir=build-cuda device=cuda steps=500 output=''
while [ $# -gt 0 ]; do
  case "$1" in
    --data | --build-dir | --device | --steps | --output)
      [ $# -ge 2 ] || { echo "gpu_kills.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --data) data=$(realpath -e "$2") ;;
        --build-dir) build_dir=$(realpath -m "$2") ;;
        --device) device=$2 ;;
        --steps) steps=$2 ;;
        --output) output=$(realpath -m "$2") ;;
      esac
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "gpu_kills.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
[ -n "$data" ] || { echo "gpu_kills.sh: no --data DIR" >&2; usage >&2; exit 2; }
[[ $steps =~ ^[0-9]+$ && $steps -ge 6 ]] || { echo "gpu_kills.sh: --steps $steps (6 or more are wanted)" >&2; exit 2; }
caravan=$(realpath -m "$build_dir")/bin/caravan
[ -x "$caravan" ] || { echo "gpu_kills.sh: no $caravan. Build with cmake --preset cuda?" >&2; exit 2; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
if [ -z "$output" ]; then
  output=$(mktemp -d)
  trap 'rm -rf "$output"' EXIT
fi
mkdir -p "$output"
cd "$output"

cat > job.yaml << END
model: {preset: debugmodel}
data: {source: tokens, path: $data, validation_fraction: 0.05}
train: {steps: $steps, sequence_length: 256, global_batch_size: 16, local_batch_size: 8, lr: 1e-3, warmup_steps: $((steps / 10)), decay_ratio: 0.5, log_every: 50}
validation: {every: $steps, batches: 32}
checkpoint: {every: $(((steps + 19) / 20)), keep_latest: 2}
END

# RANKS OUTPUT KEYS...
train() {
  local ranks=$1 run=$2
  shift 2
  mpirun --oversubscribe --bind-to none -n "$ranks" "$caravan" train job.yaml output="$run" device="$device" "$@"
}
steps_of() { if [ -f "$1/metrics.jsonl" ]; then wc -l < "$1/metrics.jsonl"; else echo 0; fi; }

# Trains on two ranks and kills both once `step` is over.
train_and_kill() {
  local step=$1
  train 2 killed parallel.data_shard=2 parallel.expert=2 > "killed-at-$step.log" 2>&1 &
  local launcher=$!
  while kill -0 "$launcher" 2> /dev/null && [ "$(steps_of killed)" -lt "$step" ]; do sleep 0.05; done
  kill -0 "$launcher" 2> /dev/null || { cat "killed-at-$step.log" >&2; echo "gpu_kills.sh: the run ended before step $step" >&2; exit 1; }
  pkill -KILL -P "$(pgrep -P "$launcher")" || true # the ranks are mpirun's, which is the launcher's
  wait "$launcher" 2> /dev/null || true
  echo "killed after step $(tail -n 1 killed/metrics.jsonl | grep -o '"step": [0-9]*' | grep -o '[0-9]*')"
}

rm -rf alone killed
train 1 alone
train_and_kill $((steps / 3))
train_and_kill $((2 * steps / 3))
train 1 killed
python3 - << 'END'
import json, sys
final = {}
for run in ("alone", "killed"):
    with open(run + "/metrics.jsonl") as lines:
        final[run] = [json.loads(line) for line in lines][-1]
losses = {run: last["validation_loss"] for run, last in final.items()}
off = abs(losses["killed"] / losses["alone"] - 1)
print("steps %d and %d" % (final["alone"]["step"], final["killed"]["step"]))
print("validation loss: undisturbed %.5f, killed twice %.5f, %.3f %% apart: %s"
      % (losses["alone"], losses["killed"], 100 * off, "met" if off <= 0.005 else "missed"))
sys.exit(0 if off <= 0.005 else 1)
END

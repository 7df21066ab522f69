#!/bin/bash
# install_and_build_outside.sh BUILD SOURCE WORK [NVCC]: installs to a fresh prefix, moves it (a prefix must not be written into
# anything), builds the out-of-tree example and every skeleton against it, and loads and trains with them.
set -euo pipefail
build=$1 source=$2 work=$3 nvcc=${4:-}
# shellcheck source=jobs/launcher.sh
. "$source/jobs/launcher.sh"
set_launcher "$build"

fail() { echo "FAILED: $*" >&2; exit 1; }
expect() { # expect TEXT COMMAND…: the output of COMMAND contains TEXT
  local text=$1; shift
  local output
  output=$("$@" 2>&1) || fail "$* gave: $output"
  [[ $output == *"$text"* ]] || fail "$* lacks '$text': $output"
}
refuse() { # refuse CODE TEXT COMMAND…: COMMAND ends with CODE and says TEXT
  local code=$1 text=$2 output status=0
  shift 2
  output=$("$@" 2>&1) || status=$?
  [[ $status == "$code" && $output == *"$text"* ]] || fail "$* gave $status, not $code with '$text': $output"
}

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" > "$work/install.log" || { cat "$work/install.log"; fail install; }
mv "$work/first" "$work/prefix"
caravan=$work/prefix/bin/caravan
unset CARAVAN_PLUGIN_PATH
expect "1f1b" "$caravan" plugins list
expect "\"refused\": []" "$caravan" plugins list --json

cmake -S "$source/plugins/examples/out_of_tree" -B "$work/example" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/example.log"
cmake --build "$work/example" >> "$work/example.log" || { cat "$work/example.log"; fail "build of the example"; }
export CARAVAN_PLUGIN_PATH=$work/example
expect "\"name\": \"gpipe_reversed\"" "$caravan" plugins list --json
expect "plugin     schedule-gpipe_reversed 1.0.0" "$caravan" plugins describe schedule/gpipe_reversed
expect "| group | int | 0 | microbatches | >= 0 |" "$caravan" plugins describe schedule/gpipe_reversed --markdown
cat > "$work/pipeline.yaml" <<'END'
model: {vocab_size: 32, dim: 32, layers: 4, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 2}
data: {source: synthetic, vocab_size: 32}
train: {steps: 3, sequence_length: 16, warmup_steps: 1, log_every: 1}
parallel: {pipeline: 2, microbatches: 4, schedule: gpipe_reversed, schedule_options: {group: 2}}
checkpoint: {enabled: false}
END
expect "step 3/3" "${launcher[@]}" -n 2 "$caravan" train "$work/pipeline.yaml" output="$work/piped"
refuse 2 "unknown key 'grup'" "${launcher[@]}" -n 2 "$caravan" train "$work/pipeline.yaml" \
  parallel.schedule_options='{grup: 2}' output="$work/refused"

kinds="data device dispatch layer metrics model optimizer schedule"
mkdir "$work/skeletons"
echo "cmake_minimum_required(VERSION 3.22)
project(all LANGUAGES CXX)
set(CARAVAN_PLUGIN_OUTPUT_DIRECTORY $work/skeletons/out)" > "$work/skeletons/CMakeLists.txt"
mkdir "$work/skeletons/exchanged"
cp "$source/tests/run/dispatchers/exchanged.cpp" "$work/skeletons/exchanged"
echo "cmake_minimum_required(VERSION 3.22)
project(exchanged LANGUAGES CXX)
find_package(Caravan REQUIRED)
caravan_add_plugin(dispatch-exchanged SOURCES exchanged.cpp)" > "$work/skeletons/exchanged/CMakeLists.txt"
echo "add_subdirectory(exchanged)" >> "$work/skeletons/CMakeLists.txt"
for kind in $kinds; do
  "$caravan" plugins new "$kind" "my_$kind" --dir "$work/skeletons/$kind" > /dev/null 2>&1 || fail "plugins new $kind"
  echo "add_subdirectory($kind)" >> "$work/skeletons/CMakeLists.txt"
done
cmake -S "$work/skeletons" -B "$work/skeletons/build" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/skeletons.log"
cmake --build "$work/skeletons/build" -j2 >> "$work/skeletons.log" 2>&1 || { cat "$work/skeletons.log"; fail "build of the skeletons"; }
! grep -i warning "$work/skeletons.log" || fail "the skeletons give warnings"
export CARAVAN_PLUGIN_PATH=$work/skeletons/out
for kind in $kinds; do
  expect "$kind my_$kind: " "$caravan" plugins describe "$kind/my_$kind"
done
cat > "$work/job.yaml" <<'END'
device: my_device
model: {plugin: my_model, vocab_size: 32, dim: 32, hidden: 64}
data: {source: my_data, vocab_size: 32}
optimizer: {name: my_optimizer}
train: {steps: 10, sequence_length: 32, local_batch_size: 2, warmup_steps: 2}
validation: {every: 10, batches: 2}
metrics: [jsonl, my_metrics]
checkpoint: {enabled: false}
END
expect "step 10/10" "$caravan" train "$work/job.yaml" output="$work/run"
grep -q '"validation_loss": ' "$work/run/metrics.jsonl" || fail "the data skeleton was not validated on"
grep -q '^10 validation_loss ' "$work/run/my_metrics.txt" || fail "the metrics skeleton recorded nothing"
cat > "$work/experts.yaml" <<'END'
device: host
model: {vocab_size: 32, dim: 32, layers: 2, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 4}
data: {source: synthetic, vocab_size: 32}
train: {steps: 3, sequence_length: 16, local_batch_size: 1, global_batch_size: 2, warmup_steps: 1, log_every: 1}
checkpoint: {enabled: false}
END
losses() { grep -o '"loss": [0-9.]*' "$1/metrics.jsonl" | cut -c 1-14; }
for dispatch in local my_dispatch; do
  expect "step 3/3" "$caravan" train "$work/experts.yaml" model.dispatch=$dispatch output="$work/$dispatch"
done
[ "$(losses "$work/local")" = "$(losses "$work/my_dispatch")" ] || fail "the dispatch skeleton trains otherwise than local"
expect "step 3/3" "${launcher[@]}" -n 2 "$caravan" train "$work/experts.yaml" model.dispatch=exchanged \
  parallel.data_shard=2 parallel.expert=2 output="$work/exchanged"
[ "$(losses "$work/local")" = "$(losses "$work/exchanged")" ] || fail "a dispatcher built outside trains otherwise than local"
refuse 2 "Did you mean 'schedule'?" "$caravan" plugins new schedul x --dir "$work/nothing"
refuse 2 "must be a-z, 0-9 and _" "$caravan" plugins new schedule ../x --dir "$work/nothing"
refuse 2 "is not an empty directory" "$caravan" plugins new schedule x --dir "$work/skeletons"
refuse 2 "must be KIND/NAME" "$caravan" plugins describe 1f1b
refuse 2 "Did you mean '1f1b'?" "$caravan" plugins describe schedule/1fb1
[ ! -e "$work/nothing" ] || fail "a refused 'new' left something behind"
"$(dirname "$0")/check_symbols.sh" "$work"/skeletons/out/*.so "$work"/example/*.so "$work"/prefix/lib*/caravan/plugins/*.so
# The path of docs/sdk.md: the skeleton's layer becomes the page's, is checked, and trains the same on every layout.
cd "$work"
of_page() { # of_page FILE [PAGE]: the program of that name in docs/PAGE, sdk.md unless named
  awk -v mark="<!-- $1 -->" 'index($0, mark) == 1 { found = 1 } found && /^```$/ { exit } inside { print } found && /^```c(pp|make)$/ { inside = 1 }' \
    "$source/docs/${2:-sdk.md}"
}
"$caravan" plugins new layer mixing --dir layer-mixing > new.log 2>&1 || fail "plugins new layer mixing"
of_page mixing.cpp > layer-mixing/mixing.cpp
"$caravan" plugins new metrics prometheus --dir metrics-prometheus > new.log 2>&1 || fail "plugins new metrics prometheus"
of_page prometheus.cpp > metrics-prometheus/prometheus.cpp
cmake -S layer-mixing -B layer-mixing/build -DCMAKE_PREFIX_PATH="$work/prefix" > mixing.log
cmake --build layer-mixing/build >> mixing.log 2>&1 || { cat mixing.log; fail "build of the layer of docs/sdk.md"; }
! grep -i warning mixing.log || fail "the layer of docs/sdk.md gives warnings"
export CARAVAN_PLUGIN_PATH=$work/layer-mixing/build
expect "claims hold" "$caravan" plugins check layer/mixing dim=32
for kind in layer data metrics optimizer schedule; do
  CARAVAN_PLUGIN_PATH=$work/skeletons/out expect "claims hold" "$caravan" plugins check "$kind/my_$kind"
done
# The tests of an author's own project, as docs/sdk.md has them.
mkdir "$work/own"
cp layer-mixing/mixing.cpp "$source/tests/run/dispatchers/exchanged.cpp" "$work/own"
of_page "own CMakeLists.txt" > "$work/own/CMakeLists.txt"
cmake -S "$work/own" -B "$work/own/build" -DCMAKE_PREFIX_PATH="$work/prefix" > own.log || { cat own.log; fail "the project of docs/sdk.md"; }
cmake --build "$work/own/build" >> own.log 2>&1 || { cat own.log; fail "build of the project of docs/sdk.md"; }
expect "100% tests passed, 0 tests failed out of 2" env -u CARAVAN_PLUGIN_PATH ctest --test-dir "$work/own/build"
sed -i 's/dim=32/dim=0/' "$work/own/CMakeLists.txt"  # a check that does not hold fails its test
cmake -S "$work/own" -B "$work/own/build" > own.log
refuse 8 "1 tests failed out of 2" ctest --test-dir "$work/own/build"
cat > mixing.yaml <<'END'
device: host
model: {vocab_size: 32, dim: 32, layers: 4, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 0, dense: mixing}
data: {source: synthetic, vocab_size: 32}
train: {steps: 4, sequence_length: 16, local_batch_size: 1, global_batch_size: 4, warmup_steps: 1, log_every: 1, lr: 1e-2}
checkpoint: {enabled: false}
END
expect "step 4/4" "$caravan" train mixing.yaml output=one
for layout in data_shard=2 tensor=2 pipeline=2; do
  expect "step 4/4" "${launcher[@]}" -n 2 "$caravan" train mixing.yaml output=$layout parallel.$layout
  [ "$(losses one)" = "$(losses $layout)" ] || fail "a layer of one's own trains otherwise with $layout"
done
cmake -S metrics-prometheus -B metrics-prometheus/build -DCMAKE_PREFIX_PATH="$work/prefix" > prometheus.log
cmake --build metrics-prometheus/build >> prometheus.log 2>&1 || { cat prometheus.log; fail "build of the sink of docs/sdk.md"; }
! grep -i warning prometheus.log || fail "the sink of docs/sdk.md gives warnings"
CARAVAN_PLUGIN_PATH=$work/metrics-prometheus/build:$CARAVAN_PLUGIN_PATH
expect "claims hold" "$caravan" plugins check metrics/prometheus
expect "step 4/4" "$caravan" train mixing.yaml output=watched "metrics=[jsonl, {name: prometheus, every: 3, file: a.prom}]"
grep -q '^caravan_step{run="run"} 4$' watched/a.prom || fail "the sink of docs/sdk.md has not the last step"
[ "$(losses one)" = "$(losses watched)" ] || fail "a sink of one's own changes the training"
refuse 2 "Did you mean 'prometheus'?" "$caravan" train mixing.yaml output=refused "metrics=[promtheus]"
refuse 2 "Did you mean 'mixing'?" "$caravan" train mixing.yaml output=refused model.dense=mixin
refuse 2 "dense has no layer" "$caravan" train mixing.yaml output=refused "model.dense={std: 0.1}"
expect "mixing" "$caravan" train mixing.yaml output=dry --dry-run "model.dense={layer: mixing, std: 0.1}"
# An operator of one's own on a device's lane: docs/native-operators.md. Its kernels need a compiler; that a GPU runs them in their
# order is a test of the device's (device_cuda).
if [ -n "${nvcc:-}" ]; then
  mkdir "$work/squared"
  for file in squared.hpp squared.cu squared.cpp; do of_page $file native-operators.md > "$work/squared/$file"; done
  of_page "squared CMakeLists.txt" native-operators.md > "$work/squared/CMakeLists.txt"
  cmake -S "$work/squared" -B "$work/squared/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CUDA_COMPILER="$nvcc" > squared.log 2>&1 ||
    { cat squared.log; fail "the project of docs/native-operators.md"; }
  cmake --build "$work/squared/build" >> squared.log 2>&1 || { cat squared.log; fail "build of docs/native-operators.md"; }
  ! grep -i warning squared.log || fail "docs/native-operators.md gives warnings"
  expect "100% tests passed, 0 tests failed out of 1" env -u CARAVAN_PLUGIN_PATH ctest --test-dir "$work/squared/build"
  CARAVAN_PLUGIN_PATH=$work/squared/build:$CARAVAN_PLUGIN_PATH
  expect "squared" "$caravan" train mixing.yaml output=dry --dry-run model.dense=squared
  expect "step 4/4" "$caravan" train mixing.yaml output=squared model.dense=squared
else
  echo "docs/native-operators.md was not built: no nvcc"
fi
[ -s "$work/prefix/share/man/man1/caravan-train.1" ] || fail "no manual pages in the installation"
[ -s "$work/prefix/share/bash-completion/completions/caravan" ] || fail "no completion in the installation"
cd /
rm -rf "$work"

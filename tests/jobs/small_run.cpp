#include "tests/jobs/small_run.hpp"

#include <stdexcept>

#include "io/safetensors/writer.hpp"

namespace caravan::test {
namespace {

constexpr const char* kJob = R"(device: host
model: {vocab_size: 270, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: tokens, path: SHARDS}
train: {steps: 2, sequence_length: 16, local_batch_size: 1, global_batch_size: 4, lr: 1e-3, warmup_steps: 1, log_every: 1}
checkpoint: {every: 2}
)";

void run_or_throw(const std::vector<std::string>& arguments, const std::string& folder) {
  const Outcome outcome = run_program({arguments, 0, {}, 120}, folder);
  if (outcome.code != 0) throw std::runtime_error(arguments[0] + ": " + outcome.err);
}

void write_inputs(const std::string& path) {
  std::vector<std::int64_t> ids(16);
  for (std::size_t at = 0; at < ids.size(); ++at) ids[at] = static_cast<std::int64_t>(at * 7 % 64);
  io::SafetensorsWriter writer(path);
  writer.add("input_ids", TensorView(ids.data(), DType::i64, {2, 8}));
  writer.commit();
}

}  // namespace

SmallRun::SmallRun() {
  const std::string folder = folder_.path(), shards = folder_.file("shards");
  write_inputs(inputs());
  for (int line = 0; line < 50; ++line)
    spill(text(), slurp(text()) + "And God saw that it was good " + std::to_string(line) + ".\n");
  run_or_throw({"tokenizer", "train", "--input", text(), "--vocab-size", "270", "--output", tokenizer()},
               folder);
  run_or_throw({"data", "prepare", "--input", text(), "--tokenizer", tokenizer(), "--output", shards},
               folder);
  std::string yaml = kJob;
  spill(job(), yaml.replace(yaml.find("SHARDS"), 6, shards));
  run_or_throw({"train", job(), "output=" + run()}, folder);
  run_or_throw(
      {"schedule", "1f1b", "--ranks", "2", "--microbatches", "2", "--format", "csv", "--output", schedule()},
      folder);
}

const SmallRun& SmallRun::get() {
  static const SmallRun made;
  return made;
}

}  // namespace caravan::test

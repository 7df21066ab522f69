#include "tests/jobs/validated_run.hpp"

#include <stdexcept>

namespace caravan::test {
namespace {

/// Micro-batches of one sequence, so that one pass is all of the samples.
constexpr const char* kJob = R"(device: host
model: {vocab_size: 300, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: tokens, path: SHARDS, validation_fraction: 0.2}
train: {steps: 3, sequence_length: 32, local_batch_size: 1, global_batch_size: 4, lr: 1e-2, warmup_steps: 1, log_every: 1}
validation: {every: 3}
)";

void run_or_throw(const std::vector<std::string>& arguments, const std::string& folder) {
  const Outcome outcome = run_program({arguments, 0, {}, 120}, folder);
  if (outcome.code != 0) throw std::runtime_error(arguments[0] + ": " + outcome.err);
}

}  // namespace

ValidatedRun::ValidatedRun() {
  std::string verses;
  for (int verse = 0; verse < 200; ++verse)
    verses += "And the evening and the morning were day " + std::to_string(verse) +
              ".\n\nAnd God saw that it was good.\n\n";
  spill(text(), verses);
  run_or_throw({"tokenizer", "train", "--input", text(), "--vocab-size", "300", "--output", tokenizer()},
               folder_.path());
  run_or_throw({"data", "prepare", "--input", text(), "--tokenizer", tokenizer(), "--output", shards(),
                "--document-separator", "blank-line"},
               folder_.path());
  std::string yaml = kJob;
  spill(folder_.file("job.yaml"), yaml.replace(yaml.find("SHARDS"), 6, shards()));
  run_or_throw({"train", folder_.file("job.yaml"), "output=" + run()}, folder_.path());
  validation_loss_ = read_metrics(run()).back().at("validation_loss");
}

const ValidatedRun& ValidatedRun::get() {
  static const ValidatedRun made;
  return made;
}

}  // namespace caravan::test

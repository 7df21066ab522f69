#pragma once

#include <fmt/format.h>

#include <string>

#include "jobs/job/job.hpp"
#include "tests/support/test_device.hpp"

namespace caravan::jobs {

/// The tree of a job that trains a llama4 with experts in milliseconds, laid out as `test` says with its
/// members schedule, pipeline, stages_per_rank, shards, layers, recompute and keys (more of the section
/// `parallel`). `sequences`: of a step over all data ranks. `more`: keys of the model, each with ", " before.
template <class Case>
Config tiny_job(const Case& test, int sequences, const std::string& more = "") {
  Config tree = Config::parse(fmt::format(R"(
seed: 5
model: {{plugin: llama4, vocab_size: 32, dim: 16, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 3, top_k: 2{}}}
data: {{source: synthetic, vocab_size: 32}}
train: {{steps: 100, sequence_length: 4, lr: 3e-3, warmup_steps: 3}}
checkpoint: {{enabled: false}}
)",
                                          more));
  const auto set = [&](const char* key, const auto& value) {
    tree.override_with(fmt::format("{}={}", key, value));
  };
  for (const std::string& key : test::keys_of_test_device()) tree.override_with(key);
  set("model.layers", test.layers);
  set("train.global_batch_size", sequences);
  set("train.recompute", test.recompute);
  set("parallel.pipeline", test.pipeline);
  set("parallel.schedule", test.schedule);
  if (test.pipeline > 1) set("parallel.stages_per_rank", test.stages_per_rank);
  if (test.shards > 1) set("parallel.data_shard", test.shards);
  for (const std::string& key : test.keys) tree.override_with("parallel." + key);
  return tree;
}

}  // namespace caravan::jobs

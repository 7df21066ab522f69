#pragma once

#include <string>

namespace caravan::test {

/// Everything that could make a step depend on more than its number: dropout, noisy routing, balance loss and
/// bias, ignored labels, validation, a schedule of its own length. `batches` has rows of 16 tokens below 64.
inline std::string random_job(const std::string& batches) {
  return R"(name: random
device: host
seed: 11
model: {vocab_size: 64, dim: 32, layers: 2, heads: 4, kv_heads: 2, width_multiple_of: 32, experts: 4, top_k: 2, noisy: true,
        balance_loss: 0.01, load_balance_rate: 0.01, dropout: 0.1, attention_dropout: 0.1}
data: {source: safetensors, wrap: true, path: )" +
         batches + R"(}
train: {steps: 10, schedule_steps: 100, sequence_length: 16, local_batch_size: 1, global_batch_size: 8, lr: 3e-3, warmup_steps: 3,
        log_every: 1}
validation: {every: 5, batches: 4, data: {source: synthetic, vocab_size: 64}}
checkpoint: {every: 3, keep_latest: 3}
metrics: {expert_counts: true, tensorboard: false}
)";
}

}  // namespace caravan::test

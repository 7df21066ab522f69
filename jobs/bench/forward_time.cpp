#include "jobs/bench/forward_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "core/run/executor.hpp"
#include "jobs/setup/host_memory.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

/// Tokens of all kinds, so that no expert is chosen by all of them.
std::vector<std::int32_t> mixed_tokens(std::int64_t count, std::int64_t vocab_size) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::int64_t at = 0; at < count; ++at)
    tokens[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(at * 7919 % vocab_size);
  return tokens;
}

}  // namespace

double time_forward(Device& device, ModelInstance& model, std::int64_t sequences, std::int64_t length) {
  Stage& stage = model.stage();
  const BatchShape shape{sequences, length, Phase::evaluate, {}, model.compute()};
  const StashLayout layout(stage.layers(), shape, StashMode::fused, stage.width());
  check_room(device, layout.total_bytes(1),
             fmt::format("a forward pass of {} sequences of {} tokens", sequences, length),
             "Fewer --batches, less --context, or no --forward?");
  Stash stash(device, layout, 1);
  Executor executor(device, stage, stash);
  const std::vector<std::int32_t> tokens = mixed_tokens(sequences * length, stage.vocab_size());
  MicroBatch batch;
  batch.tokens = batch.labels = tokens;
  batch.token_map = TokenMap::whole(0, length);
  std::array<double, 4> seconds{};
  for (double& each : seconds) {
    device.synchronize();
    const auto start = Clock::now();
    executor.forward(batch);
    device.synchronize();
    each = std::chrono::duration<double>(Clock::now() - start).count();
  }
  std::sort(seconds.begin() + 1, seconds.end());
  return seconds[2];
}

}  // namespace caravan::jobs

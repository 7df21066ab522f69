#include "jobs/train/memory_fit.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

std::string text_of(std::size_t bytes) {
  return bytes_text(static_cast<double>(bytes));
}

/// "activations kept 3.00 GiB, optimizer 1.00 GiB, …", the largest first.
std::string largest_items(const MemoryPlan& plan) {
  constexpr std::size_t kShown = 3;
  std::vector<MemoryPlan::Item> items = plan.items;
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  items.resize(std::min(items.size(), kShown));
  std::string text;
  for (const auto& item : items)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", item.what, text_of(item.bytes));
  return text;
}

/// The largest micro-batch below the job's, halved and halved again, that fits with a recomputation.
std::string smaller_batch(TrainSetup& setup, const RecomputeRule& rule, std::size_t room) {
  for (std::int64_t batch = setup.shape().sequences / 2; batch >= 1; batch /= 2) {
    const std::size_t bytes = setup.memory(batch, rule).total();
    if (bytes <= room) return fmt::format("train.local_batch_size={} takes {}", batch, text_of(bytes));
  }
  return {};
}

/// What would fit, each a clause; a budget for activations cannot be planned without measuring, so it stays
/// out.
std::vector<std::string> what_fits(TrainSetup& setup, std::size_t room) {
  const RecomputeRule& rule = setup.job().train.recompute;
  std::vector<std::string> ways;
  if (rule.kind != RecomputeRule::Kind::budget) ways.push_back(smaller_batch(setup, rule, room));
  const RecomputeRule full = {RecomputeRule::Kind::every};
  const std::size_t recomputed = setup.memory(setup.shape().sequences, full).total();
  if (recomputed <= room) {
    ways.push_back(fmt::format("train.recompute=full takes {}", text_of(recomputed)));
  } else if (const std::string both = smaller_batch(setup, full, room); !both.empty()) {
    ways.push_back(both + " with train.recompute=full");
  }
  std::erase(ways, "");
  return ways;
}

}  // namespace

void check_memory_fits(TrainSetup& setup) {
  const auto use = setup.device().memory_use();
  if (!use) return;
  const MemoryPlan plan = setup.memory();
  if (plan.total() <= use->free) return;
  const std::vector<std::string> ways = what_fits(setup, use->free);
  throw DeviceError(fmt::format(
      "this rank needs {} of device memory, and {} of {} are free ({}). {}", text_of(plan.total()),
      text_of(use->free), text_of(use->total), largest_items(plan),
      ways.empty() ? "Divide the model among more ranks, by parallel.pipeline or parallel.data_shard?"
                   : fmt::format("{}; or more ranks, by parallel.pipeline or parallel.data_shard?",
                                 fmt::join(ways, "; "))));
}

}  // namespace caravan::jobs

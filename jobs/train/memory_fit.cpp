#include "jobs/train/memory_fit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

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

void keep(void*) {}

/// The most that any rank of the job with other values would hold, on `ranks` ranks of this device; nothing
/// where such a job would be refused.
std::optional<std::size_t> bytes_with(TrainSetup& setup, const std::vector<std::string>& changes,
                                      std::int64_t ranks) {
  Config tree = setup.job().resolved;
  for (const std::string& change : changes) tree.override_with(change);
  const auto device = [&](Registry&, const Job&) { return Made<Device>(&setup.device(), keep); };
  std::size_t most = 0;
  try {
    const Job job = resolve_job(std::move(tree));
    const parallel::MeshLayout layout(mesh_degrees(job.parallel), static_cast<int>(ranks));
    for (const int rank : layout.group(0, parallel::MeshAxis::pp)) {
      parallel::PaperWorld world(rank, layout.ranks());
      most = std::max(most, TrainSetup(job, world, device).memory().total());
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  return most;
}

/// Changes of the job that let it fit, each as it would be typed, with what it takes then. Only what such a
/// job would not be refused for.
class Advice {
 public:
  Advice(TrainSetup& setup, std::size_t room) : setup_(setup), room_(room) {}

  std::vector<std::string> ways() {
    // What a budget keeps is measured, which this is not the place for.
    const bool is_planned = setup_.job().train.recompute.kind != RecomputeRule::Kind::budget;
    if (is_planned) smaller_batch({});
    if (!fits({kFull}, ranks())) smaller_batch({kFull});
    more_stages(is_planned ? std::vector<std::string>{} : std::vector<std::string>{kFull});
    return ways_;
  }

 private:
  static constexpr const char* kFull = "train.recompute=full";

  std::int64_t ranks() { return setup_.mesh().layout().ranks(); }

  /// Adds the way when it is one.
  bool fits(const std::vector<std::string>& changes, std::int64_t ranks) {
    const auto bytes = bytes_with(setup_, changes, ranks);
    if (!bytes || *bytes > room_) return false;
    ways_.push_back(fmt::format("{}{} takes {}", fmt::join(changes, " "),
                                ranks == this->ranks() ? "" : fmt::format(" on {} ranks", ranks),
                                text_of(*bytes)));
    return true;
  }

  /// The largest micro-batch below the job's, halved and halved again.
  void smaller_batch(std::vector<std::string> changes) {
    changes.insert(changes.begin(), "");
    for (std::int64_t batch = setup_.shape().sequences / 2; batch >= 1; batch /= 2) {
      changes[0] = fmt::format("train.local_batch_size={}", batch);
      if (fits(changes, ranks())) return;
    }
  }

  /// The fewest pipeline ranks, doubled and doubled again.
  void more_stages(std::vector<std::string> changes) {
    constexpr std::int64_t kMost = 64;
    const std::int64_t now = setup_.job().parallel.pipeline;
    changes.insert(changes.begin(), "");
    for (std::int64_t pipeline = 2 * now; pipeline <= kMost; pipeline *= 2) {
      changes[0] = fmt::format("parallel.pipeline={}", pipeline);
      if (fits(changes, ranks() / now * pipeline)) return;
    }
  }

  TrainSetup& setup_;
  std::size_t room_;
  std::vector<std::string> ways_;
};

}  // namespace

void check_memory_fits(TrainSetup& setup) {
  const auto use = setup.device().memory_use();
  if (!use) return;
  const MemoryPlan plan = setup.memory();
  if (plan.total() <= use->free) return;
  const std::vector<std::string> ways = Advice(setup, use->free).ways();
  throw DeviceError(fmt::format("this rank needs {} of device memory, and {} of {} are free ({}). {}?",
                                text_of(plan.total()), text_of(use->free), text_of(use->total),
                                largest_items(plan),
                                ways.empty() ? "A smaller model, or devices with more memory"
                                             : fmt::format("{}", fmt::join(ways, "; "))));
}

}  // namespace caravan::jobs

#include <algorithm>
#include <string>

#include "caravan/check.hpp"
#include "caravan/plugin.hpp"
#include "caravan/schedule.hpp"

namespace {

using namespace caravan;

/// GPipe in groups, each with its backwards in reverse order: the micro-batch that went forward last comes
/// back first, while its activations are still in the cache. A rank keeps at most `group` micro-batches;
/// every group pays the bubble (P-1)/(G+P-1) of its own.
class GpipeReversed final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "gpipe_reversed";
  static constexpr const char* kSummary = "GPipe in groups, last micro-batch back first";
  static constexpr caravan_param kParams[] = {
      {"group", "int", "0", "microbatches", ">= 0",
       "Micro-batches that go forward before they come back; 0: all."},
  };

  GpipeReversed(const Host&, const Config& config) : group_(config.get_int("group")) {}

  Plan build(const PlanRequest& request) const override {
    CARAVAN_CHECK(request.stages_per_rank == 1, ConfigError,
                  "stages_per_rank=" + std::to_string(request.stages_per_rank) +
                      " (gpipe_reversed has one stage a rank)");
    Plan plan;
    for (int rank = 0; rank < request.ranks; ++rank) plan.steps.push_back(row(rank, request.microbatches));
    return plan;
  }

 private:
  std::vector<Step> row(int rank, int microbatches) const {
    const int group =
        group_ == 0 ? microbatches : static_cast<int>(std::min<std::int64_t>(group_, microbatches));
    std::vector<Step> steps;
    for (int begin = 0; begin < microbatches; begin += group) {
      const int end = std::min(begin + group, microbatches);
      for (int m = begin; m < end; ++m) steps.push_back({{rank, ActionKind::forward, m}, {}});
      for (int m = end - 1; m >= begin; --m) steps.push_back({{rank, ActionKind::backward, m}, {}});
    }
    return steps;
  }

  std::int64_t group_;
};

}  // namespace

CARAVAN_PLUGIN("schedule-gpipe_reversed", "1.0.0", "Apache-2.0",
               "Example of a plugin outside of caravan's tree", caravan::component<GpipeReversed>());

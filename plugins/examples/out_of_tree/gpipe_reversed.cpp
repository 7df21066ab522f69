#include <algorithm>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

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
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
  }

 private:
  std::vector<Step> row(int stage, const PlanRequest& request) const {
    const std::int64_t all = request.microbatches;
    const auto group = static_cast<int>(group_ == 0 ? all : std::min(group_, all));
    Row row(request);
    for (int begin = 0; begin < request.microbatches; begin += group) {
      const int end = std::min(begin + group, request.microbatches);
      for (int m = begin; m < end; ++m) row.forward(stage);
      for (int m = end - 1; m >= begin; --m) row.backward(stage, m);
    }
    return row.take();
  }

  std::int64_t group_;
};

}  // namespace

CARAVAN_PLUGIN("schedule-gpipe_reversed", "1.0.0", "Apache-2.0",
               "Example of a plugin outside of caravan's tree", caravan::component<GpipeReversed>());

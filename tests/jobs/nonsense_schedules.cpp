#include <climits>
#include <stdexcept>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan::testing {

/// A schedule that gives a plan nobody can run: which one its parameter says.
class Nonsense final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "nonsense";
  static constexpr const char* kSummary = "Wrong on purpose";
  static constexpr caravan_param kParams[] = {
      {"what", "nothing|rank|stage|negative|huge|overlap|throws", nullptr, "", "", "What is wrong."},
  };

  Nonsense(const Host&, const Config& config) : what_(config.get_string("what")) {}

  Plan build(const PlanRequest& request) const override {
    if (what_ == "throws") throw std::runtime_error("a plain exception");
    if (what_ == "nothing") return {};
    Plan plan = plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
    Action& first = plan.steps.front().front().action;
    if (what_ == "rank") plan.steps.push_back(plan.steps.front());
    if (what_ == "stage") first.stage = INT_MAX;
    if (what_ == "negative") first.microbatch = -7;
    if (what_ == "huge") first.microbatch = INT_MAX;
    if (what_ == "overlap") plan.steps.front().front().overlapped = Action{0, ActionKind::forward, 0};
    return plan;
  }

 private:
  static std::vector<Step> row(int rank, const PlanRequest& request) {
    Row row(request);
    for (int m = 0; m < request.microbatches; ++m) row.forward(rank);
    for (int m = 0; m < request.microbatches; ++m) row.backward(rank);
    return row.take();
  }

  std::string what_;
};

}  // namespace caravan::testing

CARAVAN_PLUGIN("nonsense-schedules", "1.0.0", "Apache-2.0", "Wrong on purpose",
               caravan::component<caravan::testing::Nonsense>());

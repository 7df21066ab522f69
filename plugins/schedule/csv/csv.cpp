#include <algorithm>
#include <cstdint>
#include <string>

#include "caravan/open_file.hpp"
#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

/// What a schedule gives. The rest of a lowered plan is left out: the job's own passes place it.
bool is_scheduled(ActionKind kind) {
  return kind <= ActionKind::backward || kind == ActionKind::reduce_gradients;
}

/// A schedule from a file in the CSV grammar of PyTorch's pipelining: one row a rank, one cell a step, idle
/// cells empty. The file says which rank holds which stage. Sends, receives, recomputation, gathering and
/// dropping of weights in the file are left out: the job's own passes place them.
///
/// Bubble and memory: the file's; `caravan schedule csv` simulates it.
///
/// Constraint: ranks, stages and micro-batches are those of the file.
class Csv final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "csv";
  static constexpr const char* kSummary = "A schedule from a file in PyTorch's CSV form";
  static constexpr caravan_param kParams[] = {
      {"file", "path", nullptr, "", "", "One row a rank, one cell a step, such as 0F0 or 3B1."},
  };

  Csv(const Host&, const Config& config) : file_(config.get_string("file")) {
    plan_ = parse_schedule_csv(read_file(file_, kMostBytes), file_);
    for (std::vector<Step>& row : plan_.steps) {
      std::erase_if(row, [](const Step& step) { return !is_scheduled(step.action.kind); });
      for (const Step& step : row) count(step);
    }
    CARAVAN_CHECK(stages_ > 0 && microbatches_ > 0, ConfigError,
                  "schedule " + file_ + " has no action on a micro-batch. Is it the right file?");
  }

  StagesPerRank stages_per_rank() const override {
    const int stages = (stages_ + plan_.ranks() - 1) / plan_.ranks();
    return {stages, stages, stages};
  }

  Plan build(const PlanRequest& request) const override {
    fit("ranks", request.ranks, plan_.ranks(), "rows");
    CARAVAN_CHECK(stages_ == std::int64_t{request.ranks} * request.stages_per_rank, ConfigError,
                  "stages_per_rank=" + std::to_string(request.stages_per_rank) + " (" + file_ + " has " +
                      std::to_string(stages_) + " stages on " + std::to_string(plan_.ranks()) + " ranks)" +
                      remedy());
    fit("microbatches", request.microbatches, microbatches_, "micro-batches");
    return plan_;
  }

 private:
  void fit(const std::string& what, int asked, int has, const std::string& items) const {
    CARAVAN_CHECK(asked == has, ConfigError,
                  what + "=" + std::to_string(asked) + " (" + file_ + " has " + std::to_string(has) + " " +
                      items + "). Use " + std::to_string(has) + "?");
  }
  std::string remedy() const {
    if (stages_ % plan_.ranks() != 0) return ". A file with as many stages on every rank?";
    return ". Use " + std::to_string(stages_ / plan_.ranks()) + "?";
  }
  void count(const Step& step) {
    for (const Action& action : {step.action, step.overlapped.value_or(step.action)}) {
      stages_ = std::max(stages_, action.stage + 1);
      microbatches_ = std::max(microbatches_, action.microbatch + 1);
    }
  }

  std::string file_;
  Plan plan_;
  int stages_ = 0, microbatches_ = 0;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-csv", CARAVAN_VERSION, "Apache-2.0", "Pipeline schedule from a CSV file",
               caravan::component<caravan::Csv>());

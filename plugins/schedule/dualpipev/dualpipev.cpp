#include <array>
#include <queue>
#include <string>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// DualPipe cut in half: two stages a rank in a V. In the middle the forward of one micro-batch overlaps the
/// backward of another, so that the communication inside of the one (expert parallelism) hides behind the
/// other.
///
/// Source: DeepSeek-AI 2024, DualPipe; Sea AI Lab 2025, "Cut-in-half"; the steps as PyTorch has them.
///
/// Bubble, times of one stage, F&B of an overlapped pair: (P−1)(F&B + B − 3W) on the last rank, the longest
/// of all, as published for the 2P ranks of DualPipe. Without any gain from overlap 2(P−1) at F = I = W = 1.
///
/// Memory: a rank keeps 2P+1 micro-batches of a stage.
///
/// Constraint: M ≥ 2P.
class DualPipeV final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "dualpipev";
  static constexpr const char* kSummary = "Two stages a rank in a V, forward and backward overlapped";
  static constexpr std::array<caravan_param, 0> kParams{};

  DualPipeV(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kTwoStages; }

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    const std::string least = std::to_string(2 * request.ranks);
    CARAVAN_CHECK(request.microbatches >= 2 * request.ranks, ConfigError,
                  broken_rule(kName, request, "needs at least " + least + ", one a stage") + ". Use " +
                      least + ", or zbv?");
    return plan_of_rows(request.ranks, [&](int rank) { return Steps(rank, request).row(); });
  }

 private:
  /// One rank's row, one member a step of the description.
  class Steps {
   public:
    Steps(int rank, const PlanRequest& request)
        : rank_(rank),
          after_(request.ranks - rank - 1),
          microbatches_(request.microbatches),
          ranks_(request.ranks),
          stages_(v_stages(rank, request.ranks)),
          row_(request) {}

    std::vector<Step> row() {
      warm_up();
      overlap();
      cool_down();
      return row_.take();
    }

   private:
    void warm_up() {
      for (int i = 0; i < 2 * after_; ++i) row_.forward(stages_.down);
      for (int i = 0; i < rank_ + 1; ++i) {
        row_.forward(stages_.down);
        row_.forward(stages_.up);
      }
      for (int i = 0; i < after_; ++i) {
        input(stages_.up);
        weight();
        row_.forward(stages_.up);
      }
    }

    void overlap() {
      for (int i = 0; i < microbatches_ - 2 * ranks_ + rank_ + 1; ++i) {
        if (i == 0 && after_ == 0) {
          // The last rank turns: this backward waits for nothing but its own forward.
          row_.forward(stages_.down);
          row_.backward(stages_.up);
        } else {
          row_.overlap(stages_.down, stages_.up);
        }
        row_.overlap(stages_.up, stages_.down);
      }
      for (int i = 0; i < after_; ++i) {
        row_.backward(stages_.up);
        row_.overlap(stages_.up, stages_.down);
      }
    }

    /// From the middle on W is put off, to fill the wait at the end.
    void cool_down() {
      for (int i = 0; i < 2 * (rank_ + 1); ++i) {
        const int stage = i % 2 == 0 ? stages_.up : stages_.down;
        if (i < rank_ + 1) {
          row_.backward(stage);
        } else {
          input(stage);
        }
      }
      for (int i = 0; i < after_; ++i) {
        weight();
        input(stages_.down);
      }
      while (!owed_.empty()) weight();
    }

    void input(int stage) {
      row_.backward_input(stage);
      owed_.push(stage);
    }
    void weight() {
      row_.backward_weight(owed_.front());
      owed_.pop();
    }

    int rank_, after_, microbatches_, ranks_;
    VStages stages_;
    Row row_;
    std::queue<int> owed_;  ///< stages of the I whose W is still to come
  };
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-dualpipev", CARAVAN_VERSION, "Apache-2.0", "DualPipeV pipeline schedule",
               caravan::component<caravan::DualPipeV>());

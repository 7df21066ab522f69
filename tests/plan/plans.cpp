#include "tests/plan/plans.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/plan/for_each_action.hpp"

namespace caravan::test {
namespace {

/// Everything that can still be done in a plan under construction.
class Growth {
 public:
  explicit Growth(std::mt19937& random)
      : random_(random), ranks_(pick(1, 5)), stages_(ranks_ * pick(1, 3)), microbatches_(pick(1, 6)) {
    for (int stage = 0; stage < stages_; ++stage) rank_of_.push_back(stage % ranks_);
    std::shuffle(rank_of_.begin(), rank_of_.end(), random_);
    for (int stage = 0; stage < stages_; ++stage) {
      for (int microbatch = 0; microbatch < microbatches_; ++microbatch) {
        open_.push_back(forward(stage, microbatch));
      }
    }
  }

  Plan grow() {
    Plan plan;
    plan.steps.resize(static_cast<std::size_t>(ranks_));
    while (!open_.empty()) {
      const auto i = static_cast<std::size_t>(pick(0, static_cast<int>(open_.size()) - 1));
      const Action action = open_[i];
      if (!is_ready(action)) continue;
      open_[i] = open_.back();
      open_.pop_back();
      plan.steps[static_cast<std::size_t>(rank_of_[static_cast<std::size_t>(action.stage)])].push_back(
          {action, {}});
      done_.push_back(action);
      open_what_follows(action);
    }
    return plan;
  }

 private:
  int pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  bool is_done(const Action& action) const {
    return std::find(done_.begin(), done_.end(), action) != done_.end();
  }

  bool is_ready(const Action& action) const {
    if (action.kind == ActionKind::backward_weight) return true;
    if (action.kind == ActionKind::forward)
      return action.stage == 0 || is_done(forward(action.stage - 1, action.microbatch));
    return action.stage + 1 == stages_ || is_done(backward(action.stage + 1, action.microbatch)) ||
           is_done({action.stage + 1, ActionKind::backward_input, action.microbatch});
  }

  void open_what_follows(const Action& action) {
    if (action.kind == ActionKind::forward) {
      const auto kind = pick(0, 1) == 0 ? ActionKind::backward : ActionKind::backward_input;
      open_.push_back({action.stage, kind, action.microbatch});
    }
    if (action.kind == ActionKind::backward_input)
      open_.push_back({action.stage, ActionKind::backward_weight, action.microbatch});
  }

  std::mt19937& random_;
  int ranks_, stages_, microbatches_;
  std::vector<int> rank_of_;
  std::vector<Action> open_, done_;
};

}  // namespace

Plan gpipe(int ranks, int microbatches) {
  Plan plan;
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<Step>& row = plan.steps.emplace_back();
    for (int i = 0; i < microbatches; ++i) row.push_back({forward(rank, i), {}});
    for (int i = 0; i < microbatches; ++i) row.push_back({backward(rank, i), {}});
  }
  return plan;
}

Plan one_f_one_b(int ranks, int microbatches) {
  Plan plan;
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<Step>& row = plan.steps.emplace_back();
    const int warm_up = std::min(microbatches, ranks - rank);
    for (int i = 0; i < warm_up; ++i) row.push_back({forward(rank, i), {}});
    for (int i = 0; i < microbatches; ++i) {
      row.push_back({backward(rank, i), {}});
      if (warm_up + i < microbatches) row.push_back({forward(rank, warm_up + i), {}});
    }
  }
  return plan;
}

Plan random_plan(std::mt19937& random) {
  return Growth(random).grow();
}

int microbatches_in(const Plan& plan) {
  int most = 0;
  for_each_action(plan,
                  [&](int, std::size_t, const Action& action) { most = std::max(most, action.microbatch); });
  return most + 1;
}

std::string reference_folder() {
  const char* root = std::getenv("CARAVAN_REFERENCE_DIR");
  if (root == nullptr) return "";
  const std::string folder = std::string(root) + "/schedules";
  return std::filesystem::is_directory(folder) ? folder : "";
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> reference_files(const std::string& ending) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(reference_folder())) {
    if (entry.path().string().ends_with(ending)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace caravan::test

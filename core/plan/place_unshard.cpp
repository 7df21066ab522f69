#include <algorithm>

#include "core/plan/for_each_action.hpp"
#include "core/plan/passes.hpp"

namespace caravan {
namespace {

/// The next distinct stages of a row, seen from a step: at least `window` where there are as many, and one
/// more when the last two come in by one overlapped step. Goes from the row's end to its begin, so that the
/// pass is linear: the stages from step i are those of step i in front of those from step i + 1.
class NextStages {
 public:
  explicit NextStages(int window) : window_(static_cast<std::size_t>(window)) {}

  void put_in_front(const Step& step) {
    std::vector<Next> stages;
    for_each_action(step, [&](const Action& action) { add(stages, {action.stage, !stages.empty()}); });
    bool was_dropped = false;
    for (Next next : stages_) {
      next.is_second = next.is_second && !was_dropped;
      if (stages.size() >= window_ && !next.is_second) break;
      was_dropped = !add(stages, next);
    }
    stages_ = std::move(stages);
  }

  bool has(int stage) const {
    return std::any_of(stages_.begin(), stages_.end(), [&](const Next& next) { return next.stage == stage; });
  }

  template <typename Use>
  void each(Use&& use) const {
    for (const Next& next : stages_) use(next.stage);
  }

 private:
  struct Next {
    int stage;
    bool is_second;  // comes in by the same overlapped step as the one before it
  };

  static bool add(std::vector<Next>& stages, const Next& next) {
    const auto is_same = [&](const Next& other) { return other.stage == next.stage; };
    if (std::any_of(stages.begin(), stages.end(), is_same)) return false;
    stages.push_back(next);
    return true;
  }

  std::size_t window_;
  std::vector<Next> stages_;
};

void append(std::vector<Step>& steps, const NextStages& from, const NextStages& without, ActionKind kind) {
  const std::size_t begin = steps.size();
  from.each([&](int stage) {
    if (!without.has(stage)) steps.push_back({{stage, kind, kNoMicrobatch}, {}});
  });
  if (kind != ActionKind::reshard) return;
  std::sort(steps.begin() + static_cast<std::ptrdiff_t>(begin), steps.end(),
            [](const Step& a, const Step& b) { return a.action.stage < b.action.stage; });
}

std::vector<Step> placed_row(const std::vector<Step>& row, int window) {
  // Backwards, to be turned over: each piece is itself written backwards.
  std::vector<Step> backwards, piece;
  NextStages later(window);
  for (std::size_t i = row.size() + 1; i-- > 0;) {
    NextStages now = i == 0 ? NextStages(window) : later;
    if (i > 0) now.put_in_front(row[i - 1]);
    piece.clear();
    append(piece, now, later, ActionKind::reshard);
    append(piece, later, now, ActionKind::unshard);
    backwards.insert(backwards.end(), piece.rbegin(), piece.rend());
    if (i > 0) backwards.push_back(row[i - 1]);
    later = std::move(now);
  }
  std::reverse(backwards.begin(), backwards.end());
  return backwards;
}

}  // namespace

Plan place_unshard(const Plan& plan, int window) {
  Plan placed;
  for (const std::vector<Step>& row : plan.steps) placed.steps.push_back(placed_row(row, window));
  return placed;
}

}  // namespace caravan

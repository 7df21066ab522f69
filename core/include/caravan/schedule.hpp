#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace caravan {

/// What a rank can do for a stage. Text form as in PyTorch's pipelining CSV: F, I, W, B, REDUCE_GRAD.
enum class ActionKind { forward, backward_input, backward_weight, backward, reduce_gradients };

/// One action on one stage and micro-batch ("2F0"); reduce_gradients has micro-batch -1 ("2REDUCE_GRAD").
struct Action {
  int stage = 0;
  ActionKind kind = ActionKind::forward;
  int microbatch = 0;
  bool operator==(const Action&) const = default;
};
std::string to_string(const Action& action);

/// One action, or two that overlap.
struct Step {
  Action action;
  std::optional<Action> overlapped;
  bool operator==(const Step&) const = default;
};

/// What every rank does, in order: steps[rank][i]. A value: printable, comparable.
struct Plan {
  std::vector<std::vector<Step>> steps;
  bool operator==(const Plan&) const = default;
};

struct PlanRequest {
  int ranks = 1;
  int microbatches = 1;
  int stages_per_rank = 1;
};

/// A pipeline schedule: a pure function to the compute actions of all ranks. Plugin kind "schedule".
class Schedule {
 public:
  static constexpr const char* kKind = "schedule";
  static constexpr std::uint32_t kKindVersion = 1;
  virtual ~Schedule() = default;
  /// ConfigError when the request breaks a rule of the schedule, with the numbers.
  virtual Plan build(const PlanRequest& request) const = 0;
};

}  // namespace caravan

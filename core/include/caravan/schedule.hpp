#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caravan {

/// What a rank can do for a stage. Schedules give computation only; the passes of core/plan add the rest.
enum class ActionKind : std::int8_t {
  forward,           ///< F
  backward_input,    ///< I: gradient of the stage's input
  backward_weight,   ///< W: gradients of the stage's weights
  backward,          ///< B: I and W together
  recompute,         ///< R: forward once more, from the kept input of the stage
  send_forward,      ///< SEND_F: output of this stage to stage + 1
  receive_forward,   ///< RECV_F: input of this stage from stage − 1
  send_backward,     ///< SEND_B: gradient of this stage's input to stage − 1
  receive_backward,  ///< RECV_B: gradient of this stage's output from stage + 1
  unshard,           ///< UNSHARD: gather the stage's sharded weights; no micro-batch
  reshard,           ///< RESHARD: drop the gathered weights; no micro-batch
  reduce_gradients,  ///< REDUCE_GRAD: sum the stage's gradients over the data ranks; no micro-batch
};

/// Whether an action goes over the layers of its stage.
constexpr bool is_walk(ActionKind kind) {
  return kind <= ActionKind::recompute;
}

inline constexpr int kNoMicrobatch = -1;

/// One action on one stage and micro-batch ("2F0", "2REDUCE_GRAD").
struct Action {
  int stage = 0;
  ActionKind kind = ActionKind::forward;
  int microbatch = kNoMicrobatch;
  bool operator==(const Action&) const = default;
};
std::string to_string(const Action& action);

/// One action, or a forward and a backward that overlap ("(0F7;7B3)OVERLAP_F_B").
struct Step {
  Action action;
  std::optional<Action> overlapped;
  bool operator==(const Step&) const = default;
};
std::string to_string(const Step& step);

/// What every rank does, in order: steps[rank][i]. A value: printable, comparable.
struct Plan {
  std::vector<std::vector<Step>> steps;
  bool operator==(const Plan&) const = default;
  int ranks() const { return static_cast<int>(steps.size()); }
};

/// Reads the CSV of PyTorch's pipelining: one row a rank, one cell a step, empty cells are idle and dropped.
/// ConfigError names `source`, row and column (from 1) of a bad cell. Bounds: 64 MiB of text, 65,536 ranks,
/// stages and micro-batches below 1,048,576.
Plan parse_schedule_csv(std::string_view text, std::string_view source);
/// The same grammar, no idle cells, one line a rank, each with a newline.
std::string to_csv(const Plan& plan);

/// Seconds, or any other unit of time, of one action; the same for every stage.
struct ActionCosts {
  double forward = 1, backward_input = 1, backward_weight = 1;
  double communication = 0;  ///< from the end of the sender's action to the start of the receiver's
};

struct PlanRequest {
  int ranks = 1;
  int microbatches = 1;
  int stages_per_rank = 1;
  ActionCosts costs{};
};

/// How many stages a rank may hold under a schedule.
struct StagesPerRank {
  int least = 1, most = 1, usual = 1;
};

/// A pipeline schedule: a pure function to the compute actions of all ranks. Plugin kind "schedule".
class Schedule {
 public:
  static constexpr const char* kKind = "schedule";
  static constexpr std::uint32_t kKindVersion = 2;
  virtual ~Schedule() = default;
  virtual StagesPerRank stages_per_rank() const { return {}; }
  /// ConfigError when the request breaks a rule of the schedule, with the numbers and what would be right.
  virtual Plan build(const PlanRequest& request) const = 0;
};

}  // namespace caravan

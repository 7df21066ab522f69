#include <string>

#include "caravan/schedule.hpp"

namespace caravan {

std::string to_string(const Action& action) {
  const std::string stage = std::to_string(action.stage), microbatch = std::to_string(action.microbatch);
  switch (action.kind) {
    case ActionKind::forward:
      return stage + "F" + microbatch;
    case ActionKind::backward_input:
      return stage + "I" + microbatch;
    case ActionKind::backward_weight:
      return stage + "W" + microbatch;
    case ActionKind::backward:
      return stage + "B" + microbatch;
    case ActionKind::reduce_gradients:
      return stage + "REDUCE_GRAD";
  }
  return "?";
}

}  // namespace caravan

#include <array>
#include <string>

#include "caravan/schedule.hpp"

namespace caravan {
namespace {

/// Indexed by ActionKind.
constexpr std::array<const char*, 12> kNames = {
    "F", "I", "W", "B", "R", "SEND_F", "RECV_F", "SEND_B", "RECV_B", "UNSHARD", "RESHARD", "REDUCE_GRAD"};

}  // namespace

std::string to_string(const Action& action) {
  std::string text = std::to_string(action.stage) + kNames[static_cast<std::size_t>(action.kind)];
  if (action.microbatch != kNoMicrobatch) text += std::to_string(action.microbatch);
  return text;
}

std::string to_string(const Step& step) {
  if (!step.overlapped) return to_string(step.action);
  return "(" + to_string(step.action) + ";" + to_string(*step.overlapped) + ")OVERLAP_F_B";
}

}  // namespace caravan

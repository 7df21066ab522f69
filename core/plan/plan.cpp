#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "caravan/schedule.hpp"
#include "core/plan/action_text.hpp"

namespace caravan {
namespace {

/// Indexed by ActionKind.
constexpr std::array<std::string_view, 12> kNames = {
    "F", "I", "W", "B", "R", "SEND_F", "RECV_F", "SEND_B", "RECV_B", "UNSHARD", "RESHARD", "REDUCE_GRAD"};

constexpr std::array<std::pair<std::string_view, ActionKind>, 4> kLongNames = {
    {{"FORWARD", ActionKind::forward},
     {"BACKWARD_INPUT", ActionKind::backward_input},
     {"BACKWARD_WEIGHT", ActionKind::backward_weight},
     {"FULL_BACKWARD", ActionKind::backward}}};

}  // namespace

std::string_view name_of(ActionKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<ActionKind> kind_of(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<ActionKind>(i);
  }
  for (const auto& [long_name, kind] : kLongNames) {
    if (long_name == name) return kind;
  }
  return std::nullopt;
}

bool has_microbatch(ActionKind kind) {
  return kind != ActionKind::unshard && kind != ActionKind::reshard && kind != ActionKind::reduce_gradients;
}

void append_text(std::string& text, const Action& action) {
  const fmt::format_int stage(action.stage);
  text.append(stage.data(), stage.size()).append(name_of(action.kind));
  if (action.microbatch == kNoMicrobatch) return;
  const fmt::format_int microbatch(action.microbatch);
  text.append(microbatch.data(), microbatch.size());
}

void append_text(std::string& text, const Step& step) {
  if (!step.overlapped) return append_text(text, step.action);
  text += '(';
  append_text(text, step.action);
  text += ';';
  append_text(text, *step.overlapped);
  text += ")OVERLAP_F_B";
}

std::string to_string(const Action& action) {
  std::string text;
  append_text(text, action);
  return text;
}

std::string to_string(const Step& step) {
  std::string text;
  append_text(text, step);
  return text;
}

}  // namespace caravan

#include "jobs/schedule/paint.hpp"

#include <fmt/format.h>

namespace caravan::jobs {
namespace {

struct Look {
  Colour colour;
  int terminal, terminal_light;
  const char* description;
};

/// Indexed by Paint.
constexpr std::array<Look, kNumPaints> kLooks = {{
    {{54, 107, 168}, 25, 110, "F: forward"},
    {{232, 144, 42}, 172, 222, "I: gradient of the input"},
    {{66, 145, 80}, 28, 114, "W: gradient of the weights"},
    {{196, 66, 62}, 124, 217, "B: I and W together"},
    {{90, 165, 165}, 30, 116, "R: forward once more"},
    {{125, 82, 160}, 91, 183, "overlapped: F above, B below"},
    {{120, 113, 108}, 241, 250, "messages, weights, reduction"},
}};

const Look& look_of(Paint paint) {
  return kLooks[static_cast<std::size_t>(paint)];
}

}  // namespace

Paint paint_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::forward:
      return Paint::forward;
    case ActionKind::backward_input:
      return Paint::backward_input;
    case ActionKind::backward_weight:
      return Paint::backward_weight;
    case ActionKind::backward:
      return Paint::backward;
    case ActionKind::recompute:
      return Paint::recompute;
    default:
      return Paint::other;
  }
}

const char* description_of(Paint paint) {
  return look_of(paint).description;
}

Colour colour_of(Paint paint, double shade) {
  return lighter(look_of(paint).colour, shade / 2);
}

std::string terminal_colour_of(Paint paint, double shade) {
  constexpr int kBlack = 16, kWhite = 231;
  const Look& look = look_of(paint);
  const bool is_light = shade > 0 || paint == Paint::backward_input;
  return fmt::format("\033[38;5;{};48;5;{}m", is_light ? kBlack : kWhite,
                     shade > 0 ? look.terminal_light : look.terminal);
}

Shades::Shades(const Plan& plan) {
  const Placement placement = placement_of(plan);
  shades_.resize(static_cast<std::size_t>(placement.stages()));
  for (const std::vector<int>& stages : placement.stages_of) {
    for (std::size_t i = 1; i < stages.size(); ++i)
      shades_[static_cast<std::size_t>(stages[i])] =
          static_cast<double>(i) / static_cast<double>(stages.size() - 1);
  }
}

}  // namespace caravan::jobs

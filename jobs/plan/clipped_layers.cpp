#include "jobs/plan/clipped_layers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/run/logit_clip.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

struct ClipCounts {
  std::size_t clipped = 0, normed = 0, frozen = 0;
};

ClipCounts count_layers(const ParameterStore& whole_model) {
  ClipCounts counts;
  for (const auto& parameter : whole_model.parameters()) {
    const std::optional<ClipState> state = clip_state(*parameter);
    counts.clipped += state == ClipState::clipped;
    counts.normed += state == ClipState::normed;
    counts.frozen += state == ClipState::frozen;
  }
  return counts;
}

/// Layers whose logits stay as they are, and why.
std::string left_alone(const ClipCounts& counts) {
  std::string text;
  const auto add = [&](std::size_t layers, const char* why) {
    if (layers > 0) text += fmt::format("{}{} {}", text.empty() ? "" : "; ", counted(layers, "layer"), why);
  };
  add(counts.normed, "with a norm of queries and keys, where the size of weights has no effect");
  add(counts.frozen, "with frozen wq and wk, which stay as they are");
  return text;
}

}  // namespace

void check_clip(const Optimizer& optimizer, const ParameterStore& whole_model,
                const std::vector<SharedParameter>& shared) {
  if (optimizer.largest_logit() == 0) return;
  const ClipCounts counts = count_layers(whole_model);
  const std::string others = left_alone(counts);
  CARAVAN_CHECK(counts.clipped > 0, ConfigError,
                fmt::format("optimizer.qk_clip={} has nothing to clip ({}). Leave it out?",
                            optimizer.largest_logit(), others.empty() ? "there is no attention" : others));
  for (const auto& parameter : whole_model.parameters()) {
    const auto is_it = [&](const SharedParameter& each) { return each.name == parameter->spec().name; };
    CARAVAN_CHECK(
        !clip_state(*parameter) || std::none_of(shared.begin(), shared.end(), is_it), ConfigError,
        fmt::format("optimizer.qk_clip={} with '{}' in layers on several pipeline ranks (none of them sees "
                    "all logits that it makes). parallel.pipeline=1?",
                    optimizer.largest_logit(), parameter->spec().name));
  }
}

std::string describe_clip(const Optimizer& optimizer, const ParameterStore& whole_model) {
  if (optimizer.largest_logit() == 0) return "";
  const ClipCounts counts = count_layers(whole_model);
  const std::string others = left_alone(counts);
  return fmt::format("  attention logits above {}: clipped by the weights of {}{}\n",
                     optimizer.largest_logit(), counted(counts.clipped, "layer"),
                     others.empty() ? "" : "; left alone: " + others);
}

}  // namespace caravan::jobs

#include "jobs/check/check_component.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

struct CheckedKind {
  const char* kind;
  void (*check)(const CheckRequest&, Findings&);
  bool on_ranks = false, has_precision = false;
};
constexpr CheckedKind kChecked[] = {{"data", &check_data},
                                    {"dispatch", &check_dispatch, true, true},
                                    {"layer", &check_layer, false, true},
                                    {"metrics", &check_metrics},
                                    {"optimizer", &check_optimizer},
                                    {"schedule", &check_schedule}};

struct UncheckedKind {
  const char *kind, *instead;
};
constexpr UncheckedKind kUnchecked[] = {
    {"device",
     "a layer's check with a device that derives from ReferenceOps, and `caravan compare` of a model on "
     "both"},
    {"model",
     "`caravan plugins check layer/NAME` of its layers, `caravan train --dry-run` for its layout and memory, "
     "`caravan forward` for its answers"}};

const CheckedKind& checked(const std::string& kind) {
  const auto* found = std::ranges::find(kChecked, kind, &CheckedKind::kind);
  if (found != std::end(kChecked)) return *found;
  const auto* unchecked = std::ranges::find(kUnchecked, kind, &UncheckedKind::kind);
  if (unchecked != std::end(kUnchecked))
    throw ConfigError(fmt::format("no check for the kind '{}' (what it promises shows in use alone). Use {}?",
                                  kind, unchecked->instead));
  std::vector<std::string> known;
  for (const CheckedKind& each : kChecked) known.emplace_back(each.kind);
  const std::string near = nearest_name(kind, known);
  throw ConfigError(fmt::format("no kind '{}' that has a check. {}", kind,
                                near.empty() ? fmt::format("One of {}?", fmt::join(known, ", "))
                                             : fmt::format("Did you mean '{}'?", near)));
}

}  // namespace

bool is_checked_on_ranks(const std::string& kind) {
  return checked(kind).on_ranks;
}

bool has_precision(const std::string& kind) {
  return checked(kind).has_precision;
}

void check_component(const std::string& kind, const CheckRequest& request, Findings& findings) {
  const CheckedKind& each = checked(kind);
  request.registry.find(kind, request.name);
  each.check(request, findings);
}

}  // namespace caravan::jobs

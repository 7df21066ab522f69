#include "jobs/plan/stretches.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/run/parameter_groups.hpp"

namespace caravan::jobs {
namespace {

/// Whether every rank would keep something of so many elements.
bool divide(std::int64_t elements, std::int64_t shards) {
  return elements > (shards - 1) * ParameterGroup::share_of(elements, shards);
}

/// Experts may be divided among fewer ranks, and do not count.
std::int64_t elements_over(const ParameterGroup& group, int shards) {
  return group.elements == shards * group.stretch.size() ? group.used : 0;
}

bool uses(const Layer& layer, const ParameterGroup& group) {
  return std::any_of(layer.parameters().begin(), layer.parameters().end(), [&](Parameter* parameter) {
    return std::find(group.parameters.begin(), group.parameters.end(), parameter) != group.parameters.end();
  });
}

}  // namespace

void check_stretches(const ParameterStore& parameters, int shards, const std::string& keys,
                     const std::string& remedy) {
  const auto most = std::max_element(parameters.groups().begin(), parameters.groups().end(),
                                     [&](const ParameterGroup& a, const ParameterGroup& b) {
                                       return elements_over(a, shards) < elements_over(b, shards);
                                     });
  std::int64_t fewer = shards;
  while (!divide(most->used, fewer)) --fewer;
  CARAVAN_CHECK(fewer == shards, ConfigError,
                fmt::format("{} of {} (the largest group of parameters, {}, has {} elements, of which "
                            "each rank keeps {}: the last would have none). {}?",
                            keys, shards, most->name, most->used, most->stretch.size(),
                            remedy.empty() ? fmt::format("{}={}", keys, fewer) : remedy));
}

std::string layer_without_stretches(ModelInstance& whole, int shards, int pipeline) {
  const Stage& stage = whole.stage();
  std::vector<std::int64_t> largest;  // of the groups of each layer
  for (const Layer* layer : stage.layers()) {
    std::int64_t& most = largest.emplace_back(0);
    for (const ParameterGroup& group : whole.parameters().groups())
      if (uses(*layer, group)) most = std::max(most, elements_over(group, shards));
  }
  const auto most = std::max_element(largest.begin(), largest.end());
  const auto first = pipeline == 1 ? most : largest.begin(), last = pipeline == 1 ? most + 1 : largest.end();
  const auto found = std::find_if(
      first, last, [&](std::int64_t elements) { return elements > 0 && !divide(elements, shards); });
  return found == last ? "" : stage.name(static_cast<std::size_t>(found - largest.begin()));
}

}  // namespace caravan::jobs

#include "core/plan/split.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "caravan/check.hpp"

namespace caravan {
namespace {

std::vector<int> checked_list(int blocks, int stages, const std::vector<int>& list) {
  const int sum = std::accumulate(list.begin(), list.end(), 0);
  CARAVAN_CHECK(
      static_cast<int>(list.size()) == stages && sum == blocks, ConfigError,
      fmt::format("layers_of_stages=[{}] gives {} layers to {} stages (the model has {} layers and the "
                  "pipeline {} stages). One number a stage, with the sum {}?",
                  fmt::join(list, ", "), sum, list.size(), blocks, stages, blocks));
  CARAVAN_CHECK(
      std::all_of(list.begin(), list.end(), [](int count) { return count >= 0; }), ConfigError,
      fmt::format("layers_of_stages=[{}] (a number of layers is 0 or more)", fmt::join(list, ", ")));
  return list;
}

/// End of the block that begins at layer `at`.
int end_of_block(const std::vector<std::string>& names, int at) {
  const auto& name = names[static_cast<std::size_t>(at)];
  const int last = static_cast<int>(names.size()) - 1;  // the head
  int end = at + 1;
  while (end < last && names[static_cast<std::size_t>(end)] == name) ++end;
  return end;
}

}  // namespace

std::vector<int> blocks_of_stages(int blocks, int stages, const SplitRule& rule) {
  if (!rule.blocks.empty()) return checked_list(blocks, stages, rule.blocks);
  if (stages == 1) return {blocks};
  const int effective = blocks + rule.first_less + rule.last_less;
  const int base = effective / stages, more = effective % stages;
  std::vector<int> result;
  for (int stage = 0; stage < stages; ++stage) result.push_back(base + (stage < more ? 1 : 0));
  result.front() -= rule.first_less;
  result.back() -= rule.last_less;
  CARAVAN_CHECK(
      base > 0 && result.front() >= 0 && result.back() >= 0, ConfigError,
      fmt::format(
          "{} layers for {} stages (the embedding counts for {} layers and the head for {}, which leaves too "
          "few for every stage). Fewer stages{}?",
          blocks, stages, rule.first_less, rule.last_less,
          blocks < stages ? "" : ", or parallel.first_stage_less=0 and parallel.last_stage_less=0"));
  return result;
}

std::vector<LayerRange> split_layers(const std::vector<std::string>& names, int stages,
                                     const SplitRule& rule) {
  const int layers = static_cast<int>(names.size());
  std::vector<int> ends;  // of the blocks between embedding and head
  for (int at = 1; at < layers - 1; at = ends.back()) ends.push_back(end_of_block(names, at));
  CARAVAN_CHECK(
      stages == 1 || stages <= static_cast<int>(ends.size()) + 2, ConfigError,
      fmt::format("{} stages for {} layers (a stage holds at least one, or the embedding, or the head). "
                  "Fewer pipeline ranks or stages a rank?",
                  stages, ends.size()));
  const std::vector<int> blocks = blocks_of_stages(static_cast<int>(ends.size()), stages, rule);
  std::vector<LayerRange> ranges;
  int begin = 0, done = 0;
  for (int count : blocks) {
    done += count;
    const bool last = ranges.size() + 1 == blocks.size();
    const int end = last ? layers : done == 0 ? 1 : ends[static_cast<std::size_t>(done - 1)];
    CARAVAN_CHECK(end > begin, ConfigError,
                  fmt::format("stage {} of {} has no layer. Give it one in parallel.layers_of_stages?",
                              ranges.size(), stages));
    ranges.push_back({begin, end});
    begin = end;
  }
  return ranges;
}

}  // namespace caravan

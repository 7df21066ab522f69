#pragma once

#include <string>
#include <vector>

namespace caravan {

/// Layers [begin, end) of a model.
struct LayerRange {
  int begin = 0, end = 0;
  int size() const { return end - begin; }
  bool operator==(const LayerRange&) const = default;
};

/// How the blocks of a model are divided among pipeline stages.
struct SplitRule {
  int first_less = 1;         ///< blocks that the embedding on the first stage counts for
  int last_less = 1;          ///< blocks that the head on the last stage counts for
  std::vector<int> blocks{};  ///< blocks of each stage; empty: by the rule
};

/// Blocks of each stage: (blocks + first_less + last_less) shared out evenly, the first stages get one more,
/// and the ends give back what embedding and head count for (torchtitan's rule). ConfigError when a stage
/// would get nothing, or a list does not fit.
std::vector<int> blocks_of_stages(int blocks, int stages, const SplitRule& rule);

/// Layers of each stage. `names[i]` is the block of layer i: neighbours of one name are one block and stay
/// together; the first layer (embedding) and the last (head) are blocks that belong to the ends.
std::vector<LayerRange> split_layers(const std::vector<std::string>& names, int stages,
                                     const SplitRule& rule);

}  // namespace caravan

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "caravan/config.hpp"

namespace caravan::jobs {

/// A key of which two jobs have other values, as texts for people; "(none)" where a job lacks the key.
struct Difference {
  std::string key;  ///< "train.lr"
  std::string first, second;
};

/// Leaves of a tree with their whole keys, in order: scalars, lists, nulls and empty maps. A list of maps is
/// taken apart, its maps being keys by their numbers: "data.parts.0.weight".
std::vector<std::pair<std::string, Config>> leaves_of(const Config& tree);

/// In the order of the keys of `first`, then those that `second` alone has. Numbers are compared as numbers;
/// a key that is null, an empty map, an empty list or not there is the same.
std::vector<Difference> differences_of(const Config& first, const Config& second);

/// "train.lr 1e-3 -> 2e-3, seed 1 -> 2", at most a dozen.
std::string changes_text(const std::vector<Difference>& differences);

}  // namespace caravan::jobs

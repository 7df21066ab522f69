#pragma once

#include <vector>

#include "jobs/inspect/foreign_tensors.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/tree.hpp"

namespace caravan::jobs {

/// What is written beside the groups and data sets of a foreign file, as far as the filter chooses them: a
/// leaf each, long values cut.
std::vector<TreeLeaf> attribute_leaves(const ForeignTensors& file, const NameFilter& filter);

/// The same with whole values: a list of object, name, type, shape, value; a value that is not read is null,
/// and "why" says so.
nlohmann::ordered_json attributes_json(const ForeignTensors& file, const NameFilter& filter);

}  // namespace caravan::jobs

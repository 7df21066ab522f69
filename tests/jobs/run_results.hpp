#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caravan::test {

/// The metrics of every step without times and memory, which differ from run to run; all else is the run's.
std::vector<nlohmann::json> results_of(const std::string& run);

/// All values of the tensors in a checkpoint's folder whose names start with `prefix`.
std::vector<float> values_of(const std::string& checkpoint, const std::string& prefix);

/// Name, rows and digests of every piece in the checkpoint of a step.
std::vector<std::string> digests_of(const std::string& run, std::int64_t step);

}  // namespace caravan::test

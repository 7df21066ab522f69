#pragma once

#include <cstdint>
#include <vector>

#include "jobs/generate/asked.hpp"
#include "jobs/generate/options.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// The longest of the sequences asked for, in positions.
std::int64_t longest_of(const std::vector<Asked>& asked);

/// A cache for as many of them at a time as the options say, and pages for the longest of these, or for as
/// many positions as the options say. `chunk`: of layers that see chunks, or 0.
CacheShape cache_of(const GenerateOptions& options, const std::vector<Asked>& asked, std::int64_t chunk);

/// What is decoded with such a cache; steps may have a piece of a prompt beside a row of each sequence.
DecodePlan plan_decoding(const Device& device, const ModelInstance& model, const CacheShape& cache);

/// Says what memory the plan takes of the device. DeviceError when there is not so much.
void check_decoding(Device& device, ModelInstance& model, const DecodePlan& plan);

}  // namespace caravan::jobs

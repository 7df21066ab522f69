#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/checkpoint/reader.hpp"

namespace caravan::jobs {

/// The config.json and generation_config.json that the weights of a checkpoint came with, as they were: what
/// no key of ours has (ids, the vision part) comes out again.
inline constexpr const char *kStoredConfig = "/state/hf_config",
                            *kStoredGeneration = "/state/hf_generation_config";

/// Empty where the checkpoint has none.
std::string stored_text(const io::CheckpointReader& reader, const char* name);

/// The values of a checkpoint that its weights keep in another one: all but how far a run has come.
std::vector<std::pair<std::string, io::CheckpointValue>> values_to_keep(const io::CheckpointReader& reader);

}  // namespace caravan::jobs

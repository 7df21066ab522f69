#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/tensor.hpp"
#include "jobs/job/model_format.hpp"

namespace caravan::jobs {

/// What `caravan convert` is asked for.
struct ConvertOptions {
  std::string source, destination;
  std::string config;  ///< of weights that do not say which model they are; else empty
  ModelFormat to = ModelFormat::hf;
  std::optional<DType> dtype;  ///< nothing: as stored
  std::uint64_t shard_bytes = 0;
  std::int64_t model_parallel = 1;  ///< ranks of --to meta
  bool stacks_layers = false;
  bool is_dry_run = false;
};

/// "5GB", "800 MB", "2GiB" or plain bytes. ConfigError for anything else, and for 0.
std::uint64_t bytes_from(const std::string& text);

}  // namespace caravan::jobs

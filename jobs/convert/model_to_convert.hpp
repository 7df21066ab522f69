#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/checkpoint/sharded.hpp"
#include "io/convert/hf_tensors.hpp"
#include "jobs/convert/options.hpp"
#include "jobs/convert/state.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// The source of a conversion: its weights fit its model.
struct ModelToConvert {
  ModelSource source;  ///< model: with the defaults of the plugin
  io::Selection selection;
  ConvertedState state;
  io::CheckpointHead head;  ///< of a checkpoint of these weights
  std::string config_json;  ///< of a source that has one, as it is; else empty
  std::string generation_json;
  bool has_optimizer = false;                ///< a checkpoint to go on from
  std::vector<std::filesystem::path> files;  ///< tokenizer and templates that go along
};

/// [every rank] Of the one model at the options' source. IoError when weights are missing (named as the files
/// name them), have another shape, or belong to nothing; ConfigError when nothing says which model they are.
ModelToConvert open_to_convert(const ConvertOptions& options);

/// Of the first weight whose name ends so, axis `axis`; 0 where there is none.
std::int64_t width_of(const ModelToConvert& model, std::string_view ending, int axis);

}  // namespace caravan::jobs

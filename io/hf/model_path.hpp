#pragma once

#include <string>
#include <vector>

#include "io/checkpoint/catalogue.hpp"

namespace caravan::io {

/// What a user's PATH to a model turned out to be.
struct ModelPath {
  enum class Kind {
    hf_folder,    ///< config.json and model.safetensors, or its shards
    safetensors,  ///< one file
    checkpoint,   ///< a step's folder
  };
  Kind kind;
  std::string path;              ///< of a run: its newest checkpoint that verifies
  std::vector<Skipped> skipped;  ///< newer checkpoints of the run that did not
};

/// IoError saying what was looked for when `path` is none of these.
ModelPath resolve_model_path(const std::string& path);

}  // namespace caravan::io

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/catalogue.hpp"

namespace caravan::io {

/// What a user's PATH to a model turned out to be.
struct ModelPath {
  enum class Kind {
    hf_folder,    ///< config.json and model.safetensors, or its shards
    safetensors,  ///< one file
    checkpoint,   ///< a step's folder
    meta_folder,  ///< params.json and consolidated.00.pth, …
  };
  Kind kind;
  std::string path;              ///< of a run: its newest checkpoint that verifies, or its only one
  std::vector<Skipped> skipped;  ///< newer checkpoints of the run that did not
};

/// IoError saying what was looked for when `path` is none of these.
ModelPath resolve_model_path(const std::string& path);

/// IoError when a folder holds the files of two models, of which only one would be read.
void check_one_model(const std::string& path);

/// What `open` makes of the model at `path`. When its run prunes the checkpoint while it is being opened, the
/// newest is looked for again.
template <class Open>
auto open_model_path(const std::string& path, Open&& open) {
  for (int looks = 1;; ++looks) {
    const ModelPath model = resolve_model_path(path);
    try {
      return open(model);
    } catch (const IoError&) {
      if (looks == kMostLooks || std::filesystem::exists(model.path)) throw;
      log_info(model.path + " was removed while it was opened (its run keeps newer ones): looking again");
    }
  }
}

}  // namespace caravan::io

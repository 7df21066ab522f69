#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/checkpoint/catalogue.hpp"
#include "jobs/inspect/checkpoint_tensors.hpp"
#include "jobs/inspect/foreign_tensors.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// A path that was opened to look into it.
struct Subject {
  std::string path;  ///< of a run: the checkpoint that was taken
  std::unique_ptr<TensorSource> source;
  std::vector<io::Skipped> skipped;  ///< newer checkpoints of the run that could not be opened

  const std::vector<TensorEntry>& tensors() const { return source->tensors(); }
  /// Null for a file that no manifest of ours vouches for.
  const io::CheckpointReader* checkpoint() const;
  /// Null for a checkpoint of ours.
  const ForeignTensors* foreign() const;
};

/// `path`: a checkpoint's folder or file, a run (its newest checkpoint whose structure verifies; elements are
/// verified as they are read), or a foreign HDF5 file, which is only touched by a restricted child process.
/// IoError when it is none of these or is damaged.
Subject open_subject(const std::string& path);

/// The folders that a path means, newest first: one checkpoint, or those of a run. IoError when there is
/// none, ConfigError for a foreign file.
std::vector<std::string> checkpoint_folders(const std::string& path);

/// Of a subject that must be a checkpoint of ours; ConfigError naming what `need` needs it for.
const io::CheckpointReader& required_checkpoint(const Subject& subject, const std::string& need);

}  // namespace caravan::jobs

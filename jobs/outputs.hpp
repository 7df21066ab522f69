#pragma once

#include <string>
#include <vector>

#include "io/files/output_target.hpp"

namespace caravan::jobs {

/// What io::check_outputs refuses, and ConfigError for an output in the place of a file that caravan keeps:
/// anything in a checkpoint's folder, the files of a run that its name stands for, tokenizer and shards
/// beside a manifest of shards.
void check_user_outputs(const std::vector<io::NamedFile>& outputs, const std::vector<io::NamedFile>& inputs);

/// Before any work: ConfigError when a run's folder would be, or lie in, a checkpoint, a folder of token
/// shards, or the folder of a run's checkpoints or exports; IoError when it could not be made or written.
void check_run_output(const std::string& output);

}  // namespace caravan::jobs

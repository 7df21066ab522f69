#pragma once

#include <string>
#include <vector>

#include "caravan/data.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// Names of the files of a run's tokenizer, as they stand in the run's folder and in each of its checkpoints
/// and exports.
inline constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "tokenizer.model",
                                                  "tokenizer_config.json", "special_tokens_map.json"};

/// IoError, naming both digests, when the tokenizer's file that the data names is another one by now.
void check_tokenizer_of_data(const DataIdentity& data);

/// [one rank, which owns the folder] Writes the resolved job as job.yaml, and the tokenizer that the data was
/// made with. IoError, naming both digests, when that file is another one by now.
void write_run_folder(const Job& job, const DataIdentity& data);

/// [one rank] Puts the tokenizer's files of a run into the folder of a checkpoint, as links to the same bytes
/// where the file system allows it, on the disk when it returns. IoError.
void add_tokenizer(const std::string& run, const std::string& checkpoint);

/// A checkpoint's run: `<run>/checkpoints/step-…` and `<run>/export/step-…`; empty for a checkpoint that was
/// moved away.
std::string run_of_checkpoint(const std::string& checkpoint);

}  // namespace caravan::jobs

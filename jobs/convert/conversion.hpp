#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/checkpoint/sharded.hpp"
#include "io/convert/flat_file.hpp"
#include "io/convert/pth_archive.hpp"
#include "jobs/convert/model_to_convert.hpp"
#include "jobs/convert/options.hpp"

namespace caravan::jobs {

/// Everything that a conversion will write: files of known places, or the tensors of a checkpoint, and what
/// goes along.
struct Conversion {
  std::vector<io::FlatFile> files;
  std::vector<io::PthArchive> archives;    ///< of --to meta: the files again, with what is written last
  std::vector<io::MadeTensor> checkpoint;  ///< of --to hdf5, which has no files
  io::CheckpointHead head;
  std::vector<std::pair<std::string, std::string>> texts;  ///< small files: name and content
  std::vector<std::filesystem::path> copied;
  std::function<void()> report = [] {};        ///< called at each block, by a run whose watchdog looks on
  std::function<void()> check_source = [] {};  ///< on rank 0, when all is written and nothing is in place
  std::vector<std::string> notes;              ///< what is left out or changed, one sentence each

  /// The tensors of all files, in order.
  std::vector<const io::MadeTensor*> tensors() const;
  std::uint64_t bytes() const;  ///< that the disk will have to hold
};

/// Notes expert biases that the format has no place for.
void note_lost_state(const ModelToConvert& model, const std::string& format, Conversion& conversion);

/// Reads no weights but small ones. IoError when the format has no place for a weight or a key of the model.
Conversion plan_conversion(const ModelToConvert& model, const ConvertOptions& options);

}  // namespace caravan::jobs

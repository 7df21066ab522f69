#pragma once

#include <string>
#include <utility>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/config.hpp"
#include "caravan/data.hpp"
#include "caravan/device.hpp"
#include "io/checkpoint/value.hpp"

namespace caravan::io {
class CheckpointReader;
}

namespace caravan::jobs {

struct Job;

/// What a run is beside the words of its job. Stored with every checkpoint.
struct RunIdentity {
  DataIdentity data;      ///< that it is trained on
  std::string device;     ///< name of the plugin
  std::string precision;  ///< that it computes in

  /// Under "/state/…", for a checkpoint.
  std::vector<std::pair<std::string, io::CheckpointValue>> values() const;
  /// As keys that stand beside those of a resolved job: data.digest, data.tokens, data.tokenizer_digest,
  /// device, train.precision. What is not known is left out.
  Config facts() const;
};

/// [collective] Of a run that computes in `compute` on `device`. IoError when ranks read different data.
RunIdentity identify(const Device& device, DType compute, const DataSource& source, Communicator& world);

/// IoError, naming both digests, when validation would read tokens of another tokenizer than training does,
/// unless the job's checkpoint.allow_changes names data.tokenizer_digest: the same numbers are other words.
void check_validation_tokenizer(const Job& job, const DataIdentity& training, const DataIdentity& validation);

/// What a checkpoint says of the run that wrote it; empty texts where it says nothing.
RunIdentity stored_identity(const io::CheckpointReader& reader);

}  // namespace caravan::jobs

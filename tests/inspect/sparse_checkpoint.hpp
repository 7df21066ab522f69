#pragma once

#include <string>
#include <vector>

#include "io/checkpoint/piece.hpp"

namespace caravan::test {

/// Writes `<run>/checkpoints/step-00000001` with tensors of zeros that take no space on the disk: the file
/// has holes, and the manifest has the true digests. Returns its folder; IoError where files cannot be that
/// large.
std::string write_sparse_checkpoint(const std::string& run, const std::vector<io::TensorRecord>& tensors,
                                    const std::string& job_yaml);

}  // namespace caravan::test

#pragma once

#include <string>
#include <vector>

#include "io/hdf5/isolated_file.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// The data sets of an HDF5 file that nobody vouches for. HDF5 runs in a restricted child process.
class ForeignTensors final : public TensorSource {
 public:
  /// IoError "file rejected" when the file breaks its reader.
  explicit ForeignTensors(const std::string& path);

  const std::vector<TensorEntry>& tensors() const override { return tensors_; }
  void read(const TensorEntry& tensor, const BlockOrigin& origin, const TensorView& to) const override;

 private:
  io::h5::IsolatedFile file_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace caravan::jobs

#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/hdf5/isolated_file.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// The data sets of an HDF5 file that nobody vouches for. HDF5 runs in a restricted child process. Borrows
/// nothing; its objects stay where they are.
class ForeignTensors final : public TensorSource {
 public:
  /// IoError "file rejected" when the file breaks its reader.
  explicit ForeignTensors(const std::string& path);

  const std::vector<TensorEntry>& tensors() const override { return tensors_; }
  /// Groups and data sets, for what is written beside them.
  const std::vector<io::h5::Node>& objects() const { return file_.nodes(); }
  void read(const TensorEntry& tensor, const Origin& origin, const Block& to) const override;

 private:
  io::h5::IsolatedFile file_;
  std::vector<TensorEntry> tensors_;
  std::unordered_map<std::string_view, const io::h5::Node*> nodes_;  // by path
};

}  // namespace caravan::jobs

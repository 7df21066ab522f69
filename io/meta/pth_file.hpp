#pragma once

#include <map>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/files/file.hpp"

namespace caravan::io {

/// A file that torch.save wrote of a flat dictionary of tensors: a zip archive with a pickle, of which
/// nothing is executed, and the storages. What both say is checked by the constructor, which throws IoError.
/// Nothing is mapped.
class PthFile {
 public:
  explicit PthFile(const std::string& path);

  const std::string& path() const noexcept { return file_.path(); }
  std::vector<std::string> names() const;  ///< sorted
  bool has(const std::string& name) const { return places_.contains(name); }
  /// Keys whose values are no tensors.
  const std::vector<std::string>& others() const noexcept { return others_; }
  /// Where the tensor lies, as SafetensorsFile::place; IoError when absent.
  const TensorView& place(const std::string& name) const;
  void read_place(const TensorView& place, const TensorView& to, int threads = 1) const;

 private:
  File file_;
  std::map<std::string, TensorView> places_;
  std::vector<std::string> others_;
};

}  // namespace caravan::io

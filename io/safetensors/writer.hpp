#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/safetensors/layout.hpp"

namespace caravan::io {

/// Collects tensors in host memory and writes them as one safetensors file, which appears whole or not at
/// all.
class SafetensorsWriter {
 public:
  /// Fills a contiguous host tensor of the announced type and shape, when its turn to be written has come.
  using Fill = std::function<void(const TensorView& to)>;

  explicit SafetensorsWriter(std::string path) : path_(std::move(path)) {}

  /// `view`'s memory (any strides) must stay valid until `commit`. IoError when the name is taken or not
  /// allowed.
  void add(const std::string& name, const TensorView& view);
  /// For a tensor that need not exist as a whole before it is written.
  void add(const std::string& name, DType dtype, const Shape& shape, Fill fill);
  void set_metadata(const std::string& key, const std::string& value) { metadata_[key] = value; }

  /// [once] Writes beside the final name, synchronises and renames. IoError leaves an older file untouched.
  void commit();

 private:
  struct Entry {
    SafetensorsEntry tensor;
    TensorView view;  ///< empty when `fill` makes the data
    Fill fill;
  };

  std::string path_;
  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;
};

}  // namespace caravan::io

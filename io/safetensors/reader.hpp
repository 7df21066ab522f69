#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/files/file.hpp"
#include "io/safetensors/header.hpp"

namespace caravan::io {

/// A safetensors file. Everything that the header claims is checked by the constructor, which throws IoError
/// for what is truncated, overlapping, out of range, repeated or of unknown type. Nothing is mapped: a file
/// that is cut while it is open is an IoError when it is read.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const noexcept { return file_.path(); }
  /// In the order of the data.
  const std::vector<SafetensorsInfo>& tensors() const noexcept { return header_.tensors; }
  std::vector<std::string> names() const;
  const std::map<std::string, std::string>& metadata() const noexcept { return header_.metadata; }
  bool has(std::string_view name) const noexcept;
  const SafetensorsInfo& info(std::string_view name) const;  ///< IoError when absent

  /// The tensor's bytes in the file, row-major and little-endian.
  std::vector<std::byte> raw(std::string_view name) const;
  /// Where the tensor lies, with shape and strides, to be sliced and exchanged like any view: its data counts
  /// bytes from the front of the file and is no memory. IoError for other types or more than four axes.
  TensorView place(std::string_view name) const;
  /// Copies what lies at a place, or at a part of one, as copy_elements; `to` has its shape. Reads as
  /// io::read_place.
  void read_place(const TensorView& place, const TensorView& to, int threads = 1) const;

  /// Converts F32, F64, BF16 or F16; `to` must have the tensor's count. IoError otherwise.
  void read_as_f32(std::string_view name, std::span<float> to) const;
  std::vector<float> read_as_f32(std::string_view name) const;
  /// Converts I64, I32, I16, I8, U32, U16, U8 or BOOL. IoError for floats, which would lose their fraction.
  void read_as_i64(std::string_view name, std::span<std::int64_t> to) const;
  std::vector<std::int64_t> read_as_i64(std::string_view name) const;

 private:
  File file_;
  std::uint64_t data_start_ = 0;
  SafetensorsHeader header_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace caravan::io

#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "jobs/inspect/tensor_source.hpp"

namespace caravan::test {

/// Tensors in memory, for views that only need a source.
class MemoryTensors final : public jobs::TensorSource {
 public:
  template <class T>
  const jobs::TensorEntry& add(const std::string& name, const std::vector<T>& values,
                               const std::vector<std::uint64_t>& extents, DType dtype = dtype_of<T>) {
    const auto* bytes = reinterpret_cast<const char*>(values.data());
    contents_.emplace_back(bytes, values.size() * sizeof(T));
    entries_.push_back(
        {name, std::string(name_of(dtype)), extents, contents_.back().size(), io::number_type_of(dtype), ""});
    return entries_.back();
  }

  const std::vector<jobs::TensorEntry>& tensors() const override { return entries_; }

  void read(const jobs::TensorEntry& tensor, const Origin& origin, const jobs::Block& to) const override {
    ++reads;
    largest_read = std::max<std::size_t>(largest_read, to.bytes());
    const std::string& bytes = contents_[static_cast<std::size_t>(&tensor - entries_.data())];
    const std::size_t size = size_of(to.element);
    for (std::int64_t i = 0; i < to.count(); ++i)
      std::memcpy(to.data + static_cast<std::size_t>(i) * size,
                  bytes.data() + static_cast<std::size_t>(place(tensor, origin, to.shape, i)) * size, size);
  }

  mutable int reads = 0;
  mutable std::size_t largest_read = 0;

 private:
  /// Of element `index` of the block in the whole tensor.
  static std::int64_t place(const jobs::TensorEntry& tensor, const Origin& origin, const Shape& shape,
                            std::int64_t index) {
    std::int64_t at = 0, stride = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      at += (origin[static_cast<std::size_t>(axis)] + index % shape[axis]) * stride;
      index /= shape[axis];
      stride *= static_cast<std::int64_t>(tensor.extents[static_cast<std::size_t>(axis)]);
    }
    return at;
  }

  std::vector<jobs::TensorEntry> entries_;
  std::vector<std::string> contents_;
};

}  // namespace caravan::test

#pragma once

#include <cstddef>

#include "caravan/tensor.hpp"

namespace caravan {

/// Hands out views of flat memory one behind the other, each at a multiple of 64 bytes. Without memory it
/// counts.
class FlatMemory {
 public:
  explicit FlatMemory(void* memory = nullptr) : memory_(static_cast<std::byte*>(memory)) {}
  TensorView take(DType dtype, Shape shape) {
    const TensorView view(memory_ ? memory_ + used_ : nullptr, dtype, shape);
    constexpr std::size_t kAlignment = 64;
    used_ += (view.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    return view;
  }
  std::size_t used() const noexcept { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

/// `Views(sizes, FlatMemory&)` takes its members; those of this memory.
template <class Views, class Sizes>
Views views_in(void* memory, const Sizes& sizes) {
  FlatMemory flat(memory);
  return Views(sizes, flat);
}

/// Bytes that these views take.
template <class Views, class Sizes>
std::size_t bytes_of(const Sizes& sizes) {
  FlatMemory flat;
  Views(sizes, flat);
  return flat.used();
}

}  // namespace caravan

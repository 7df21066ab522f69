#pragma once

#include <memory>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::reference {

/// f32 copies of bf16 views for the length of one call; the destructor rounds them back. Copies of what was
/// only read come back as they were. The same view again gives the same copy, so that an operator may write
/// what it reads.
class Widened {
 public:
  Widened() = default;
  ~Widened();
  Widened(const Widened&) = delete;
  Widened& operator=(const Widened&) = delete;

  /// Contiguous.
  TensorView f32_of(const TensorView& view);

 private:
  struct Copy {
    TensorView original;
    std::unique_ptr<float[]> values;
  };
  std::vector<Copy> copies_;
};

}  // namespace caravan::reference

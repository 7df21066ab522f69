#pragma once

#include <span>
#include <string>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// A tensor that has a storage of its own.
struct TensorToPickle {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

/// What torch.load takes for a dictionary of these tensors; the storage of tensor i is called i. IoError for
/// a type that torch has no storage for here.
std::string pickle_of(std::span<const TensorToPickle> tensors);

}  // namespace caravan::io

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// A tensor as torch's pickle describes it: a window on a storage, which lies elsewhere.
struct PickledTensor {
  std::string storage;         ///< "0": the name of a file
  DType dtype = DType::f32;    ///< of the storage
  std::uint64_t elements = 0;  ///< of the storage
  std::uint64_t offset = 0;    ///< of the first element
  Shape shape;
  std::array<std::int64_t, Shape::kMaxRank> strides{};  ///< in elements
};

struct PickledTensors {
  std::map<std::string, PickledTensor> tensors;
  /// Keys of values that are no tensors, nor dictionaries, which are refused; they are not looked at.
  std::vector<std::string> others;
};

/// What the pickle of a flat dictionary of tensors says. Nothing of it is executed: of pickle's language only
/// what torch.save writes for tensors is read, and names of functions and classes are compared with the few
/// that mean a tensor. IoError, naming `path`, for every other operation and name, a tensor outside of its
/// storage, with more elements than that, of more than four axes or that overlaps itself, and for a name
/// above a kilobyte.
PickledTensors read_pickled_tensors(std::string_view pickle, const std::string& path);

}  // namespace caravan::io

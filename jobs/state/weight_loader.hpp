#pragma once

#include <cstddef>
#include <vector>

#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// Gives fragments their values, one after the other. Where a weight alone is kept and stands in the file as
/// it is computed with, its bytes go to the device as they are, through one room for all.
class WeightLoader {
 public:
  explicit WeightLoader(ParameterStore& store) : store_(store) {}
  /// `stored`: of each part of the fragment, its type in the file. `fill` reads into memory of f32 or of the
  /// type of computation.
  void load(const Fragment& fragment, const std::vector<DType>& stored, const ParameterStore::Fill& fill);

 private:
  ParameterStore& store_;
  std::vector<std::byte> room_;
};

}  // namespace caravan::jobs

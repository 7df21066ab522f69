#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// Gives fragments their values, one after the other. Where a weight alone is kept and stands in the file as
/// it is computed with, its bytes go to the device as they are, through one room for all.
class WeightLoader {
 public:
  explicit WeightLoader(ParameterStore& store) : store_(store) {}
  /// The type in the file of a part of a parameter, by the part's name.
  using TypeOf = std::function<DType(const std::string& part)>;
  /// `fill` reads into memory of f32 or of the type of computation.
  void load(const Fragment& fragment, const TypeOf& type_of, const ParameterStore::Fill& fill);

 private:
  ParameterStore& store_;
  std::vector<std::byte> room_;
};

}  // namespace caravan::jobs

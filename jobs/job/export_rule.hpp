#pragma once

#include <optional>

#include "caravan/config.hpp"
#include "caravan/tensor.hpp"
#include "jobs/job/model_format.hpp"

namespace caravan::jobs {

/// What a job says about `checkpoint.export`: the weights of the last step, for others.
struct ExportRule {
  std::optional<ModelFormat> format;  ///< nothing: no export
  DType dtype = DType::f32;
  bool merges = false;  ///< the model has adapters, which an export has merged

  bool is_wanted() const { return format.has_value(); }
  /// From the last checkpoint, as `caravan convert` makes it.
  bool is_converted() const { return is_wanted() && (merges || format != ModelFormat::hdf5); }
};

/// ConfigError for a format where a type of weights stands, with the way to it: before the section is
/// checked.
void check_export_word(const Config& node);

/// From a word or a map. ConfigError with file, line and path.
ExportRule read_export(const Config& node);

}  // namespace caravan::jobs

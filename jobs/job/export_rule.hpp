#pragma once

#include "caravan/config.hpp"
#include "caravan/tensor.hpp"

namespace caravan::jobs {

/// What a job says about `checkpoint.export`: the weights of the last step, for others.
struct ExportRule {
  enum class Format { none, checkpoint, hf, meta, safetensors };
  Format format = Format::none;
  DType dtype = DType::f32;

  bool is_wanted() const { return format != Format::none; }
  /// From the last checkpoint, as `caravan convert` makes it.
  bool is_converted() const { return is_wanted() && format != Format::checkpoint; }
};

/// From a word or a map. ConfigError with file, line and path.
ExportRule read_export(const Config& node);

}  // namespace caravan::jobs

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "caravan/printable.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// Digits compare as numbers, so that layers.2 comes before layers.10.
bool natural_less(std::string_view a, std::string_view b);

/// "norm.weight" of "/optimizer/exp_avg/norm.weight"
std::string_view leaf_of(std::string_view path);

/// Chooses tensors by globs (* ? [a-z]; a star crosses dots and slashes). A pattern that starts with / is
/// compared with the whole path, any other with the part behind the last slash.
class NameFilter {
 public:
  explicit NameFilter(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}

  bool chooses_all() const noexcept { return patterns_.empty(); }
  bool matches(const std::string& path) const;
  /// ConfigError with the nearest name when patterns were given and match nothing.
  std::vector<const TensorEntry*> choose(const std::vector<TensorEntry>& tensors) const;

 private:
  std::vector<std::string> patterns_;
};

/// `choose`; without patterns the model's tensors, or all when there is no /model/.
std::vector<const TensorEntry*> choose_of_model(const NameFilter& filter,
                                                const std::vector<TensorEntry>& tensors);

/// The tensor that a user names: its whole path, or the name of one of the model's. ConfigError otherwise,
/// with the nearest.
const TensorEntry& tensor_named(const std::string& name, const std::vector<TensorEntry>& tensors);

}  // namespace caravan::jobs

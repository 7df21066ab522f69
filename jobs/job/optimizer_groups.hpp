#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// The list `optimizer.groups`: which parameters are updated otherwise than the rest. The first group with a
/// glob that fits a name counts.
class OptimizerGroups {
 public:
  /// One map of the list.
  struct Group {
    std::vector<std::string> globs;  ///< over names as checkpoints have them
    UpdateRule rule;
    std::string where;  ///< "job.yaml:12"
    /// "layers.*.norm, output.weight"
    std::string name() const;
  };

  OptimizerGroups() = default;
  /// From the list, or null. ConfigError with file and line for what is no group.
  static OptimizerGroups read(const Config& list);
  /// As it is stored with a job.
  Config resolved() const;

  bool empty() const noexcept { return groups_.empty(); }
  const std::vector<Group>& groups() const noexcept { return groups_; }
  /// None: the rest. ConfigError naming the group and the parameter of which it fits some parts alone.
  std::optional<std::size_t> group_of(const ParameterSpec& spec) const;
  UpdateRule rule_of(const ParameterSpec& spec) const;
  /// ConfigError naming a glob that fits nothing, or nothing that an earlier group leaves; or where
  /// everything is frozen. `whole_model`: with all its layers.
  void check(const ParameterStore& whole_model) const;

 private:
  void check_globs(const ParameterStore& whole_model) const;
  std::vector<Group> groups_;
};

}  // namespace caravan::jobs

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace caravan::io {

/// What the writers of one checkpoint leave for each other in its unfinished folder. They are threads beside
/// training on several nodes, and the only thing that they share and may use at any time is that folder. So
/// a checkpoint can be put in place while the ranks are in the middle of a step.
class Notes {
 public:
  /// Of the unfinished folder; its notes go with it.
  explicit Notes(std::string folder) : folder_(std::move(folder)) {}

  /// Appears whole, under a name of letters, digits and '-'. IoError when the disk refuses.
  void leave(std::string_view name, std::string_view text) const;
  /// Nothing while there is none. IoError when the folder is gone: its owner gave up.
  std::optional<std::string> find(std::string_view name) const;
  /// Before the folder becomes a checkpoint.
  void remove_all() const;

 private:
  std::string path_of(std::string_view name) const;

  std::string folder_;
};

}  // namespace caravan::io

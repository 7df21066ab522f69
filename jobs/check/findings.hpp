#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan::jobs {

/// What a check of a component found, claim by claim, printed as it comes.
class Findings {
 public:
  /// `prints`: false on all ranks but one of those that find the same.
  explicit Findings(bool prints = true) : prints_(prints) {}
  /// `evidence`: what was seen instead, of a claim that does not hold.
  void add(bool holds, std::string_view claim, std::string_view evidence = {});
  /// A claim that could not be tried.
  void leave_out(std::string_view claim, std::string_view why);
  int wrong() const noexcept { return wrong_; }
  int tried() const noexcept { return tried_; }

 private:
  bool prints_;
  int wrong_ = 0, tried_ = 0;
};

}  // namespace caravan::jobs

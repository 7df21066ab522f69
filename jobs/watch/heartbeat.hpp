#pragma once

#include <chrono>
#include <string>

#include "core/run/whereabouts.hpp"

namespace caravan::jobs {

/// <run>/heartbeat.json for watchers outside: replaced as a whole, at most once a second, only after
/// progress. A file that grows old is a run that stands still.
class Heartbeat {
 public:
  explicit Heartbeat(std::string path) : path_(std::move(path)) {}

  /// Nothing without progress since the last one, or when that is younger than a second. A disk that refuses
  /// is said once, and no error.
  void beat(const Whereabouts::Sight& sight);

 private:
  std::string path_;
  std::chrono::steady_clock::time_point last_{};
  std::uint64_t ticks_ = 0;
  bool refused_ = false;
};

}  // namespace caravan::jobs

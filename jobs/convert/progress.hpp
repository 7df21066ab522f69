#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

#include "caravan/comm.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {

/// One line on a terminal: how much of its share rank 0 has written, and how fast. Any threads.
class ConvertProgress {
 public:
  /// `bytes` of the works to come on this rank; `report` is called at each.
  ConvertProgress(std::span<const std::uint64_t> bytes, const Communicator& world,
                  std::function<void()> report);
  void add(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  std::mutex mutex_;
  std::function<void()> report_;
  bool is_shown_;
  int ranks_;
  std::uint64_t all_ = 0, done_ = 0;
  Clock::time_point begin_ = Clock::now(), shown_{};
  ProgressLine line_;
};

}  // namespace caravan::jobs

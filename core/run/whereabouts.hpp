#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "caravan/schedule.hpp"

namespace caravan {

/// Where a rank is in its training, for a thread that watches it. The rank's thread alone writes: a few plain
/// stores, about a nanosecond. Any thread reads. While the rank goes on, a reader may see a new place with an
/// old count; once it stands still, all that is read is of one moment.
class Whereabouts {
 public:
  struct Sight {
    std::uint64_t ticks = 0;  ///< grows with everything that is begun
    std::int64_t step = 0;    ///< 0: before the first
    std::string place;        ///< an action of the plan ("2F0"), or what the rank does between plans
  };

  void start_step(std::int64_t step) noexcept {
    step_.store(step, std::memory_order_relaxed);
    tick();
  }
  /// `place` must live as long as the program: a literal.
  void enter(const char* place) noexcept {
    place_.store(place, std::memory_order_relaxed);
    tick();
  }
  void enter(const Action& action) noexcept {
    action_.store(packed(action), std::memory_order_relaxed);
    enter(nullptr);
  }
  /// Still there, and working.
  void tick() noexcept {
    ticks_.store(ticks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  Sight look() const;

 private:
  static std::uint64_t packed(const Action& action) noexcept {
    return static_cast<std::uint64_t>(action.kind) << 56 |
           (static_cast<std::uint64_t>(action.stage) & 0xffffff) << 32 |
           static_cast<std::uint32_t>(action.microbatch);
  }

  std::atomic<std::uint64_t> ticks_{0};
  std::atomic<std::int64_t> step_{0};
  std::atomic<const char*> place_{"setting up"};  ///< null: at action_
  std::atomic<std::uint64_t> action_{0};
};

/// For code that is not always watched: null is nobody.
template <typename Place>
void enter(Whereabouts* whereabouts, const Place& place) noexcept {
  if (whereabouts) whereabouts->enter(place);
}

}  // namespace caravan

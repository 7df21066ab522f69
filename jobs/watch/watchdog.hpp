#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/run/whereabouts.hpp"
#include "jobs/watch/hang_report.hpp"
#include "jobs/watch/heartbeat.hpp"

namespace caravan::jobs {

/// The thread beside a rank that looks where it is, writes the run's heartbeat, and ends a job in which
/// nothing happens. It talks to the threads of other ranks through files alone, because the network may be
/// what hangs.
class Watchdog {
 public:
  using Seconds = std::chrono::duration<double>;
  struct Found {
    std::string text;                       ///< empty on ranks that leave it to another to say
    std::vector<std::string> silent_hosts;  ///< where ranks said nothing although others did
  };
  struct Settings {
    int rank = 0;
    Seconds timeout{0};  ///< without any progress of this rank; 0: never ends a job
    HangReport report;
    std::optional<Heartbeat> heartbeat{};
    /// Ends the job; called once, by this thread. Need not return.
    std::function<void(const Found& found)> end;
  };

  /// Borrows `watched`. The thread starts here and takes no signals.
  Watchdog(const Whereabouts& watched, Settings settings);
  /// Stops the thread.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  void watch();
  /// False when the destructor wants the thread back.
  bool sleep(Seconds time);
  void look();
  /// All ranks say where they are; the first that does sums up.
  void expire();

  const Whereabouts& watched_;
  Settings settings_;
  Seconds pause_;
  Clock::time_point looked_, changed_;
  std::uint64_t ticks_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace caravan::jobs

#include "jobs/watch/watchdog.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>

#include "caravan/log.hpp"

namespace caravan::jobs {
namespace {

using Seconds = Watchdog::Seconds;

constexpr Seconds kBetweenHeartbeats{1}, kLongestPause{5}, kShortestPause{0.05};
// How long ranks wait for the one that sums up, before each ends by itself.
constexpr Seconds kPatience{10};

/// A twentieth of the timeout, so that a hang is found a twentieth late.
Seconds pause_of(Seconds timeout) {
  return timeout > Seconds(0) ? std::clamp(timeout / 20, kShortestPause, kLongestPause) : kLongestPause;
}

/// Threads inherit the mask: signals are for the rank's own thread.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

Watchdog::Watchdog(const Whereabouts& watched, Settings settings)
    : watched_(watched),
      settings_(std::move(settings)),
      pause_(pause_of(settings_.timeout)),
      looked_(Clock::now()),
      changed_(looked_) {
  const NoSignals for_the_thread;
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool Watchdog::sleep(Seconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopped_; });
}

void Watchdog::watch() {
  const Seconds pause = settings_.heartbeat ? std::min(pause_, kBetweenHeartbeats) : pause_;
  while (sleep(pause)) {
    look();
    const bool late = settings_.timeout > Seconds(0) && Clock::now() - changed_ > settings_.timeout;
    if (late || (settings_.timeout > Seconds(0) && settings_.report.exists())) return expire();
  }
}

void Watchdog::look() {
  const auto now = Clock::now();
  const Whereabouts::Sight sight = watched_.look();
  const bool was_stopped_itself = now - looked_ > 2 * pause_ + Seconds(5);
  looked_ = now;
  if (settings_.heartbeat) settings_.heartbeat->beat(sight);
  if (sight.ticks == ticks_ && !was_stopped_itself) return;
  ticks_ = sight.ticks;
  changed_ = now;
}

void Watchdog::expire() {
  Found found;
  try {
    settings_.report.write({settings_.rank, Seconds(Clock::now() - changed_).count(), watched_.look()});
    if (!sleep(2 * pause_ + Seconds(0.5))) return;
    const auto ranks = settings_.report.read();
    if (!ranks.empty() && ranks.front().rank == settings_.rank)
      found = {settings_.report.describe(ranks), settings_.report.silent_hosts(ranks)};
  } catch (const std::exception& error) {
    found.text = error.what();
  }
  if (found.text.empty() && !sleep(kPatience)) return;
  settings_.end(found);
}

}  // namespace caravan::jobs

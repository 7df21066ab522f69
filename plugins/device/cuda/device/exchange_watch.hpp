#pragma once

#include <exception>
#include <functional>
#include <map>
#include <thread>
#include <utility>

namespace caravan::cuda {

/// The exchanges between ranks that may be under way on this GPU. One that failed never ends on the GPU, so
/// whoever waits for the GPU asks for failures meanwhile; and once one has failed, or an exception unwinds on
/// this rank, nobody waits for the GPU any more: the run ends.
class ExchangeWatch {
 public:
  /// Throws what went wrong, or returns. Called until remove(), from the thread that waits.
  using Check = std::function<void()>;
  void add(const void* owner, Check check) { checks_[owner] = std::move(check); }
  void remove(const void* owner) noexcept {
    is_given_up_ |= std::uncaught_exceptions() > 0;
    checks_.erase(owner);
  }

  /// Exchanges may never end: to free memory or to wait for the GPU could take for ever.
  bool is_given_up() const noexcept {
    return is_given_up_ || (std::uncaught_exceptions() > 0 && !checks_.empty());
  }

  /// Returns when `happened()` says so; throws what a check throws, then or before.
  template <class Happened>
  void wait_until(Happened&& happened) {
    constexpr unsigned kAsksBetweenChecks = 4096;  // some milliseconds
    for (unsigned asked = 1; !happened(); ++asked) {
      if (asked % kAsksBetweenChecks == 0) check();
      std::this_thread::yield();
    }
    check();
  }

 private:
  void check() {
    try {
      for (const auto& [owner, check] : checks_) check();
    } catch (...) {
      is_given_up_ = true;
      throw;
    }
  }

  std::map<const void*, Check> checks_;
  bool is_given_up_ = false;
};

}  // namespace caravan::cuda

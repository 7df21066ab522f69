#pragma once

#include <functional>
#include <map>
#include <thread>

namespace caravan::cuda {

/// The exchanges between ranks that may be under way on this GPU. One that failed never ends on the GPU, so
/// whoever waits for the GPU has to ask for failures meanwhile.
class ExchangeWatch {
 public:
  /// Throws what went wrong, or returns. Called until remove(), from the thread that waits.
  using Check = std::function<void()>;
  void add(const void* owner, Check check) { checks_[owner] = std::move(check); }
  void remove(const void* owner) noexcept { checks_.erase(owner); }

  /// Returns when `happened()` says so; throws what a check throws, then or before.
  template <class Happened>
  void wait_until(Happened&& happened) const {
    constexpr int kAsksBetweenChecks = 4096;  // some milliseconds
    for (int asked = 1; !happened(); ++asked) {
      if (asked % kAsksBetweenChecks == 0) check();
      std::this_thread::yield();
    }
    check();
  }

 private:
  void check() const {
    for (const auto& [owner, check] : checks_) check();
  }

  std::map<const void*, Check> checks_;
};

}  // namespace caravan::cuda

#include "io/files/on_threads.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace caravan::io {
namespace {

constexpr int kMostThreads = 8;

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Refused on machines with more processors than the set has bits.
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return kMostThreads;
  return CPU_COUNT(&set);
}

/// Works that several threads take one after the other.
class Works {
 public:
  Works(std::size_t count, const std::function<void(std::size_t)>& work) : count_(count), work_(work) {}

  void take() noexcept {
    for (std::size_t index = next_++; index < count_; index = next_++) {
      try {
        work_(index);
      } catch (...) {
        fail(std::current_exception());
      }
    }
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void fail(std::exception_ptr failure) noexcept {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
    next_ = count_;
  }

  std::size_t count_;
  const std::function<void(std::size_t)>& work_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

int threads_for_bytes(int sharers) {
  return std::clamp(usable_processors() / std::max(sharers, 1), 1, kMostThreads);
}

void on_threads(std::size_t count, int threads, const std::function<void(std::size_t)>& work) {
  Works works(count, work);
  {
    const std::size_t most = std::min(count, static_cast<std::size_t>(std::max(threads, 1)));
    std::vector<std::jthread> others;
    try {
      while (others.size() + 1 < most) others.emplace_back([&] { works.take(); });
    } catch (const std::system_error&) {
      // The system gives no further thread: those that are there do the work.
    }
    works.take();
  }
  works.rethrow();
}

}  // namespace caravan::io

#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdint>

#include "process.hpp"

namespace caravan::host {

using Space = Kokkos::DefaultHostExecutionSpace;

/// The threads of a rank. Each takes one neighbouring part of what is shared, and no element is made by two,
/// so that no result depends on how many threads there are. An exception must not leave a body.
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {}
  int threads() const noexcept { return threads_; }

  /// body(index, worker) for each index in [0, count), which takes about as long as `cost` additions; a
  /// worker's indices run one after the other.
  template <class Body>
  void for_each(std::int64_t count, std::int64_t cost, const Body& body) const {
    for_ranges(count, cost, [&](std::int64_t begin, std::int64_t end, std::int64_t worker) {
      for (std::int64_t index = begin; index < end; ++index) body(index, worker);
    });
  }

  /// body(begin, end, worker): one part of [0, count) for each worker, empty for none.
  template <class Body>
  void for_ranges(std::int64_t count, std::int64_t cost, const Body& body) const {
    const std::int64_t workers = workers_for(count, cost);
    run(workers,
        [&](std::int64_t worker) { body(count * worker / workers, count * (worker + 1) / workers, worker); });
  }

  /// The same over elements beside each other: parts begin with a line of the cache.
  template <class Body>
  void for_elements(std::int64_t count, const Body& body) const {
    for_ranges((count + kLine - 1) / kLine, kLine, [&](std::int64_t begin, std::int64_t end, std::int64_t) {
      body(begin * kLine, std::min(end * kLine, count));
    });
  }

  /// body(first, count): columns of `rows` rows that a worker takes from the first row to the last.
  template <class Body>
  void for_columns(std::int64_t rows, std::int64_t columns, const Body& body) const {
    const std::int64_t lines = (columns + kLine - 1) / kLine;
    for_ranges(lines, kLine * rows, [&](std::int64_t begin, std::int64_t end, std::int64_t) {
      body(begin * kLine, std::min(end * kLine, columns) - begin * kLine);
    });
  }

  /// body(worker) for each of `workers`, by the execution space of Kokkos where it has as many threads.
  template <class Body>
  void run(std::int64_t workers, const Body& body) const {
    if (workers <= Space::concurrency())
      return Kokkos::parallel_for(Kokkos::RangePolicy<Space>(0, workers),
                                  [&](std::int64_t worker) { call(body, worker); });
#pragma omp parallel for num_threads(static_cast <int>(workers)) schedule(static, 1)
    for (std::int64_t worker = 0; worker < workers; ++worker) {
      flush_denormals();
      call(body, worker);
    }
  }

 private:
  static constexpr std::int64_t kLine = 16;  ///< floats

  /// Compiled once: two copies may have other products contracted with sums, and give other bits.
  template <class Body>
  [[gnu::noinline, gnu::noclone]] static void call(const Body& body, std::int64_t worker) {
    body(worker);
  }

  /// Waking threads takes as long as some thousand additions.
  std::int64_t workers_for(std::int64_t count, std::int64_t cost) const {
    constexpr std::int64_t kWorthAThread = 1 << 13;
    return std::clamp<std::int64_t>(count * cost / kWorthAThread, 1,
                                    std::min<std::int64_t>(threads_, std::max<std::int64_t>(count, 1)));
  }

  int threads_;
};

}  // namespace caravan::host

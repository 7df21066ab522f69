#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>

namespace caravan::host {

using Space = Kokkos::DefaultHostExecutionSpace;

/// Workers that run at the same time; 1 with Kokkos' Serial space.
inline int concurrency() {
  return Space::concurrency();
}

/// body(index, worker) for each index in [0, count); a worker's indices run one after the other.
template <class Body>
void for_each(std::int64_t count, const Body& body) {
  const std::int64_t workers = concurrency();
  Kokkos::parallel_for(Kokkos::RangePolicy<Space>(0, workers), [&](std::int64_t worker) {
    for (std::int64_t index = worker; index < count; index += workers) body(index, worker);
  });
}

/// body(begin, end, worker): one contiguous share of [0, count) for each worker.
template <class Body>
void for_ranges(std::int64_t count, const Body& body) {
  const std::int64_t workers = concurrency();
  Kokkos::parallel_for(Kokkos::RangePolicy<Space>(0, workers), [&](std::int64_t worker) {
    body(count * worker / workers, count * (worker + 1) / workers, worker);
  });
}

}  // namespace caravan::host

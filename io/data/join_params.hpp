#pragma once

#include <array>
#include <cstddef>

#include "caravan/abi.h"

namespace caravan::io {

/// One table of a component's own parameters and those that it shares.
template <std::size_t M, std::size_t N>
constexpr std::array<caravan_param, M + N> join_params(const std::array<caravan_param, M>& own,
                                                       const std::array<caravan_param, N>& shared) {
  std::array<caravan_param, M + N> all{};
  for (std::size_t i = 0; i < M; ++i) all[i] = own[i];
  for (std::size_t i = 0; i < N; ++i) all[M + i] = shared[i];
  return all;
}

}  // namespace caravan::io

#pragma once

#include <cstdint>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/tensor_map.hpp"

// The two kernels of DecodeExperts: one per half of the SwiGLU blocks, both for routed experts and the shared
// one, so that weights of any of them are always on their way.
namespace caravan::cuda {

inline constexpr std::int64_t kMostFewTokens = 32, kMostFewChoices = 64;

/// Checked views of DecodeExperts.
struct FewExperts {
  Matrix x, w, v, base, y;
  MappedTensor gate_up, down, shared_gate_up, shared_down;
  Matrix activated, shared_activated;
  Matrix row_of;
  const std::int32_t *offsets = nullptr, *choice_of = nullptr;

  bool has_shared() const { return shared_down.data != nullptr; }
};

/// On the compute lane.
void experts_gate_up(const Context& context, const FewExperts& experts);
void experts_down(const Context& context, const FewExperts& experts);

}  // namespace caravan::cuda

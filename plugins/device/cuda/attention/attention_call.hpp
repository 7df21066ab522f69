#pragma once

#include "caravan/ops.hpp"
#include "plugins/device/cuda/attention/attention_args.hpp"
#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

/// Checks what forward, backward and the largest logits share. DeviceError where views disagree or the head
/// is wider than any kernel holds.
AttentionArgs check_attention(const Call& call, const LargestLogits& args);
AttentionArgs check_attention(const Call& call, const AttentionForward& args);
AttentionArgs check_attention(const Call& call, const AttentionBackward& args);

}  // namespace caravan::cuda

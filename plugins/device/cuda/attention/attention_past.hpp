#pragma once

#include <cstddef>

#include "plugins/device/cuda/attention/attention_args.hpp"
#include "plugins/device/cuda/device/context.hpp"

// Attention to the keys before all queries, whose results are added to those of the other keys.
namespace caravan::cuda {

/// Memory for what such a piece makes, dense; nothing for other pieces.
class PastResults {
 public:
  explicit PastResults(const AttentionArgs& piece) : piece_(piece) {}
  /// For either direction.
  std::size_t bytes() const;
  /// The piece with the strides of that memory, which a plan goes by before there is memory.
  AttentionArgs forward_strides() const;
  AttentionArgs backward_strides() const;
  void take_forward(AttentionArgs& a, Workspace& workspace) const;
  void take_backward(AttentionArgs& a, Workspace& workspace) const;

 private:
  HeadRows dense() const;
  const AttentionArgs& piece_;
};

/// to.out and to.lse become those of the keys of both.
void merge_attention(const Context& context, const AttentionArgs& to, const AttentionArgs& past);
/// to.dq += past.dq
void add_dq(const Context& context, const AttentionArgs& to, const AttentionArgs& past);

}  // namespace caravan::cuda

#pragma once

#include <cstdint>
#include <string>

#include "caravan/ops.hpp"
#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"

// The projection to a vocabulary, or to a rank's part of it, and its logits: a block of rows at a time, so
// that scratch does not grow with the tokens. Logits are f32, so that the loss is not rounded; gradients have
// the type of the activations.
namespace caravan::cuda {

struct Head {
  Matrix x, w, bias, logits, dx, dw;
  float* dbias = nullptr;
  const std::int32_t* labels = nullptr;
};

/// The views that every operator of a loss has; kept logits and gradients are left off.
template <class Args>
Head check_head(const Call& call, const Args& args) {
  const DType type = call.compute_type("x", args.x);
  Head head;
  head.x = call.matrix("x", args.x, type, kAny, kAny);
  head.w = call.matrix("w", args.w, type, kAny, head.x.columns);
  if (!args.bias.empty()) head.bias = call.vector("bias", args.bias, type, head.w.rows);
  head.labels = call.indices("labels", args.labels, head.x.rows);
  return head;
}

/// Rows [first, first + count), or absent.
Matrix rows_of(const Matrix& m, std::int64_t first, std::int64_t count);

/// Walks the rows of logits of at least one token and one word. The scratch is the walk's until it ends.
class LogitBlocks {
 public:
  /// Takes room for `numbers` doubles besides.
  LogitBlocks(Context& context, const Head& head, std::int64_t numbers = 0);

  /// visit(first, logits) with rows [first, first + logits.rows), one block after the other.
  template <class Visit>
  void walk(const Visit& visit) {
    for (std::int64_t first = 0; first < head_.x.rows; first += rows_) visit(first, make(first));
  }
  double* numbers() const { return numbers_; }
  /// Where the gradients of a block of so many rows go. Unless logits are kept, they lie there as well, in
  /// rows that are as many bytes apart.
  Matrix gradient_place(std::int64_t rows) const;
  /// dx = dlogits·w and dw += dlogitsᵀ·x, dbias += Σ dlogits of rows from `first` on.
  void add_gradients(const Matrix& dlogits, std::int64_t first);

 private:
  Matrix make(std::int64_t first);

  Context& context_;
  const Head& head_;
  std::int64_t rows_;
  Matrix block_;  ///< [rows, V] f32, rows on 32 bytes; without memory when nothing needs it
  double* numbers_;
  float* column_sums_;
};

OperatorPath path_of_head(const Head& head);

}  // namespace caravan::cuda

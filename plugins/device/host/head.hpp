#pragma once

#include <cstdint>

#include "caravan/ops/id_range.hpp"
#include "gemm.hpp"
#include "memory.hpp"
#include "parallel.hpp"
#include "view.hpp"

// The projection to a vocabulary, or to a rank's part of it, and its logits: a block of rows at a time.
namespace caravan::host {

struct Head {
  const Team& team;
  Products& products;
  Matrix x, w, logits, dx, dw;
  const float* bias = nullptr;
  float* dbias = nullptr;
  const std::int32_t* labels = nullptr;
};

/// The views that every operator of a loss has; kept logits and gradients are left off.
template <class Args>
Head check_head(const Call& call, const Args& args, const Team& team, Products& products) {
  Head head{.team = team, .products = products};
  head.x = call.matrix("x", args.x, kAny, kAny);
  head.w = call.matrix("w", args.w, kAny, head.x.columns);
  head.bias = call.optional_vector("bias", args.bias, head.w.rows);
  head.labels = call.indices("labels", args.labels, head.x.rows);
  return head;
}

/// Labels are ignored or ids that some rank has.
void check_labels(const Call& call, const Head& head, const IdRange& all);

/// Walks the rows of logits. The scratch is the walk's until it ends.
class LogitBlocks {
 public:
  LogitBlocks(const Head& head, Workspace& scratch);

  /// visit(first, z) with rows [first, first + z.rows) of the logits, one block after the other. The columns
  /// of z go on to whole vectors, with −∞ beyond the vocabulary.
  template <class Visit>
  void walk(const Visit& visit) const {
    for (std::int64_t first = 0; first < head_.x.rows; first += rows_) {
      const Matrix z = make(first);
      visit(first, z);
    }
  }
  /// A number for each row of a block.
  double* numbers() const { return numbers_; }

 private:
  Matrix make(std::int64_t first) const;

  const Head& head_;
  std::int64_t rows_, stride_;
  float* buffer_;
  double* numbers_;
};

float row_maximum(const float* z, std::int64_t columns);

/// z ← e^(z − maximum); returns the sum. Whole vectors of columns; those that hold −∞ add nothing that
/// counts.
double exponentiate(float* z, std::int64_t columns, float maximum);

/// dx = dz·w and dw += dzᵀ·x, dbias += Σ dz of rows [first, first + dz.rows).
void add_gradients(const Head& head, std::int64_t first, const Matrix& dz);

}  // namespace caravan::host

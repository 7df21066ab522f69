#pragma once

#include <cstdint>
#include <vector>

#include "caravan/ops/id_range.hpp"
#include "core/ops/reference/array.hpp"
#include "core/ops/reference/call.hpp"

// The projection to a vocabulary, or to a rank's part of it, one token at a time.
namespace caravan::reference {

struct Head {
  Matrix<float> x, w;
  Vector<float> bias;
  Matrix<float> dx, dw;
  Vector<float> dbias;
};

/// The views that every operator of a loss has; gradients are left off.
template <class Args>
Head check_head(const Call& call, const Args& args) {
  Head head;
  head.x = call.matrix("x", args.x, kAny, kAny);
  head.w = call.matrix("w", args.w, kAny, head.x.extent(1));
  head.bias = call.optional_vector("bias", args.bias, head.w.extent(0));
  return head;
}

/// Labels are ignored or ids that some rank has.
void check_labels(const Call& call, const Vector<std::int32_t>& labels, const IdRange& all);

/// One token's logits, then in place dL/d(logits).
using Logits = std::vector<double>;

Logits logits_of(const Head& head, std::int64_t t);

/// Whether there is a logit in this column: other ranks have those of other columns.
inline bool has_column(const Logits& z, std::int64_t column) {
  return column >= 0 && column < static_cast<std::int64_t>(z.size());
}

/// scale·(softmax(z) − onehot(label))
void to_gradient(Logits& z, double lse, std::int64_t label, double scale);

/// dx[t] = dlogits[t]·w, and dw[v] += Σ_t dlogits[t, v]·x[t], summed in double over the tokens before it is
/// rounded into dw.
class HeadGradients {
 public:
  explicit HeadGradients(const Head& head);

  void add(const Logits& dz, std::int64_t t);
  /// A token whose dlogits are 0.
  void skip(std::int64_t t);
  void store() const;

 private:
  Head head_;
  std::vector<double> dw_, dbias_;
};

}  // namespace caravan::reference

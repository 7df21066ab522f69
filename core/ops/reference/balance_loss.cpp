#include <fmt/format.h>

#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

/// One sequence: density[e] is the share of its choices routed to e, probability[t, e] the softmax of its
/// logits.
struct Sequence {
  std::vector<double> density;
  std::vector<std::vector<double>> probability;
};

std::vector<double> probabilities(const Matrix<float>& logits, std::int64_t t) {
  const float* row = &logits(t, 0);
  return softmax({row, row + logits.extent(1)});
}

/// The checked inputs, and the questions that loss and gradient ask.
class Balance {
 public:
  template <class Args>
  Balance(const Call& call, const Args& args)
      : logits_(call.f32_matrix("logits", args.logits, kAny, kAny)),
        experts_(call.matrix<std::int32_t>("experts", args.experts, logits_.extent(0), kAny)),
        length_(args.sequence_length),
        factor_(args.coefficient * static_cast<double>(logits_.extent(1))) {
    if (length_ < 1 || logits_.extent(0) % length_ != 0) {
      call.fail(
          fmt::format("sequence_length {} of {} tokens (must divide them)", length_, logits_.extent(0)));
    }
  }

  std::int64_t num_sequences() const { return logits_.extent(0) / length_; }
  std::int64_t num_experts() const { return logits_.extent(1); }
  std::int64_t length() const { return length_; }
  /// coefficient·E²·mean_e(…) = factor·Σ_e(…)
  double factor() const { return factor_; }

  Sequence sequence(std::int64_t b) const {
    Sequence result{std::vector<double>(num_experts(), 0.0), {}};
    const double choice = 1 / static_cast<double>(length_ * experts_.extent(1));
    for (std::int64_t t = b * length_; t < (b + 1) * length_; ++t) {
      result.probability.push_back(probabilities(logits_, t));
      for (std::int64_t k = 0; k < experts_.extent(1); ++k) result.density.at(experts_(t, k)) += choice;
    }
    return result;
  }

 private:
  Matrix<float> logits_;
  Matrix<std::int32_t> experts_;
  std::int64_t length_;
  double factor_;
};

/// Σ_e density[e]·probability[e]
double overlap(const Sequence& sequence, const std::vector<double>& probability) {
  return sum(static_cast<std::int64_t>(probability.size()),
             [&](std::int64_t e) { return sequence.density[e] * probability[e]; });
}

}  // namespace

void ReferenceOps::balance_loss_forward(const BalanceLossForward& args) {
  const Call call("balance_loss_forward");
  const Balance balance(call, args);
  const auto loss = call.vector<double>("loss", args.loss, 1);

  for (std::int64_t b = 0; b < balance.num_sequences(); ++b) {
    const Sequence sequence = balance.sequence(b);
    const double total =
        sum(balance.length(), [&](std::int64_t s) { return overlap(sequence, sequence.probability[s]); });
    loss(0) += balance.factor() * total / static_cast<double>(balance.length());
  }
}

void ReferenceOps::balance_loss_backward(const BalanceLossBackward& args) {
  const Call call("balance_loss_backward");
  const Balance balance(call, args);
  const auto dlogits = call.matrix("dlogits", args.dlogits, args.logits.extent(0), balance.num_experts());
  const double scale = balance.factor() / static_cast<double>(balance.length());

  for (std::int64_t b = 0; b < balance.num_sequences(); ++b) {
    const Sequence sequence = balance.sequence(b);
    for (std::int64_t s = 0; s < balance.length(); ++s) {
      const auto& p = sequence.probability[s];
      const double mean = overlap(sequence, p);
      for (std::int64_t e = 0; e < balance.num_experts(); ++e) {
        float& to = dlogits(b * balance.length() + s, e);
        to = static_cast<float>(to + scale * p[e] * (sequence.density[e] - mean));
      }
    }
  }
}

}  // namespace caravan

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// The checked inputs. coefficient·E²·mean_e(…) is factor·Σ_e(…).
struct Balance {
  Matrix logits;
  Rows<std::int32_t> experts;
  std::int64_t length;
  double factor;

  template <class Args>
  Balance(const Call& call, const Args& args)
      : logits(call.matrix("logits", args.logits, kAny, kAny)),
        experts(call.index_matrix("experts", args.experts, logits.rows, kAny)),
        length(args.sequence_length),
        factor(args.coefficient * static_cast<double>(logits.columns)) {
    if (length < 1 || logits.rows % length != 0) {
      call.fail(fmt::format("sequence_length {} of {} tokens (must divide them)", length, logits.rows));
    }
    call.check_experts(experts, logits.columns);
  }

  /// to[e] = the share of the choices of the sequence beginning at `first` that went to e.
  void density(std::int64_t first, double* to) const {
    const double choice = 1 / static_cast<double>(length * experts.columns);
    std::fill_n(to, logits.columns, 0.0);
    for (std::int64_t t = first; t < first + length; ++t) {
      for (std::int64_t k = 0; k < experts.columns; ++k) to[experts.row(t)[k]] += choice;
    }
  }
};

/// probability = softmax(logits); returns Σ_e density[e]·probability[e].
double overlap(const float* logits, const double* density, std::int64_t experts, double* probability) {
  const double largest = *std::max_element(logits, logits + experts);
  double total = 0;
  for (std::int64_t e = 0; e < experts; ++e) total += probability[e] = std::exp(logits[e] - largest);
  double sum = 0;
  for (std::int64_t e = 0; e < experts; ++e) sum += density[e] * (probability[e] /= total);
  return sum;
}

/// Densities of one sequence, and the probabilities of one token.
struct Lines {
  double *density, *probability;

  Lines(Workspace& scratch, std::int64_t experts) {
    const auto width = static_cast<std::size_t>(experts);
    scratch.begin(4 * width, 2);
    density = scratch.take_as<double>(width);
    probability = scratch.take_as<double>(width);
  }
};

}  // namespace

void HostOps::balance_loss_forward(const BalanceLossForward& args) {
  const Call call("balance_loss_forward");
  const Balance balance(call, args);
  double* loss = call.scalar_f64("loss", args.loss);
  const std::int64_t experts = balance.logits.columns;
  const std::int64_t sequences = balance.logits.rows / balance.length;
  shared_.begin(2 * static_cast<std::size_t>(sequences), 1);
  double* const totals = shared_.take_as<double>(static_cast<std::size_t>(sequences));
  team_.for_each(sequences, 16 * balance.length * experts, [&](std::int64_t sequence, std::int64_t worker) {
    const Lines lines(workspace(worker), experts);
    const std::int64_t first = sequence * balance.length;
    balance.density(first, lines.density);
    totals[sequence] = 0;
    for (std::int64_t t = first; t < first + balance.length; ++t)
      totals[sequence] += overlap(balance.logits.row(t), lines.density, experts, lines.probability);
  });
  for (std::int64_t sequence = 0; sequence < sequences; ++sequence)
    *loss += balance.factor * totals[sequence] / static_cast<double>(balance.length);
}

void HostOps::balance_loss_backward(const BalanceLossBackward& args) {
  const Call call("balance_loss_backward");
  const Balance balance(call, args);
  const std::int64_t experts = balance.logits.columns;
  const Matrix dlogits = call.matrix("dlogits", args.dlogits, balance.logits.rows, experts);
  const double scale = balance.factor / static_cast<double>(balance.length);
  team_.for_each(
      balance.logits.rows / balance.length, 16 * balance.length * experts,
      [&](std::int64_t sequence, std::int64_t worker) {
        const Lines lines(workspace(worker), experts);
        const std::int64_t first = sequence * balance.length;
        balance.density(first, lines.density);
        for (std::int64_t t = first; t < first + balance.length; ++t) {
          const double mean = overlap(balance.logits.row(t), lines.density, experts, lines.probability);
          float* to = dlogits.row(t);
          for (std::int64_t e = 0; e < experts; ++e) {
            to[e] = static_cast<float>(to[e] + scale * lines.probability[e] * (lines.density[e] - mean));
          }
        }
      });
}

}  // namespace caravan::host

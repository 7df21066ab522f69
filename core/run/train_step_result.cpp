#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "caravan/check.hpp"
#include "core/run/train_step.hpp"

// What the ranks find out together of a step that is done.
namespace caravan {

/// This rank's part of all choices: the counts are sums over ranks of other rows, each of which has them.
double TrainStep::choices_of(const Posted& step) const {
  double choices = 0;
  for (const std::vector<float>& counts : step.expert_counts)
    choices += std::accumulate(counts.begin(), counts.end(), 0.0);
  return choices / parts_.rows.host.size();
}

/// Received by this rank, sent, and what each rank of its group would receive of even routing.
TrainStep::RowsOfExperts TrainStep::rows_of(const Posted& step) {
  std::vector<double> counts;  // of all layers, so that the group talks once
  for (const std::vector<float>& own : step.own_counts) counts.insert(counts.end(), own.begin(), own.end());
  if (counts.empty()) return {};  // a stage without experts, on all ranks of the group
  const double sent = std::accumulate(counts.begin(), counts.end(), 0.0);
  Communicator& group = parts_.experts->host;
  group.all_reduce(TensorView(counts.data(), DType::f64, {static_cast<std::int64_t>(counts.size())}),
                   ReduceOp::sum);
  const double even = std::accumulate(counts.begin(), counts.end(), 0.0) / group.size();
  double received = 0;
  auto layer = counts.begin();
  for (const std::vector<float>& own : step.own_counts) {
    const auto experts = static_cast<std::ptrdiff_t>(own.size()), held = experts / group.size();
    received = std::accumulate(layer + held * group.rank(), layer + held * (group.rank() + 1), received);
    layer += experts;
  }
  return {received, sent, even};
}

void TrainStep::add_rows(StepResult& result, const Posted& step) {
  if (!parts_.experts) return;
  const RowsOfExperts rows = rows_of(step);
  result.most_rows_received = largest_of_ranks(rows.received);
  const bool is_fullest = rows.received == result.most_rows_received;
  result.rows_sent = largest_of_ranks(is_fullest ? rows.sent : 0);
  result.even_rows = largest_of_ranks(is_fullest ? rows.even : 0);
}

double TrainStep::largest_of_ranks(double value) {
  for (Communicator* group : {&parts_.pipeline.host, &parts_.rows.host})
    group->all_reduce(TensorView(&value, DType::f64, {1}), ReduceOp::max);
  return value;
}

void TrainStep::add_logits(StepResult& result, const Posted& step) {
  if (!logits_) return;
  double largest = -std::numeric_limits<double>::infinity();
  for (const float logit : step.largest_logits) largest = std::max<double>(largest, logit);
  result.max_logit = largest_of_ranks(largest);
}

StepResult TrainStep::result() {
  CARAVAN_EXPECT(posted_ > 0);
  Posted& step = steps_[oldest_];
  enter(parts_.whereabouts, "waiting for the device");
  parts_.device.await(step.done);
  oldest_ ^= 1;
  --posted_;
  double sums[5] = {step.loss_sum, step.balance_loss, step.overflow, step.dropped, choices_of(step)};
  enter(parts_.whereabouts, "all-reduce of the loss");
  sum_over_ranks(TensorView(sums, DType::f64, {5}));
  step.overflow = sums[2];
  StepResult result{sums[0] / static_cast<double>(step.valid_tokens),
                    sums[1],
                    std::sqrt(step.squares),
                    step.valid_tokens,
                    sums[3],
                    sums[4]};
  add_rows(result, step);
  add_logits(result, step);
  check_finite(result, step);
  return result;
}

void TrainStep::sum_over_ranks(TensorView values) {
  parts_.pipeline.host.all_reduce(values, ReduceOp::sum);
  parts_.rows.host.all_reduce(values, ReduceOp::sum);
}

std::string without_room(double rows) {
  return fmt::format(
      "{:.0f} rows had no room at their experts when it first happened (the dispatcher has memory for "
      "fewer). A larger `room` of model.dispatch, or another?",
      rows);
}

void TrainStep::check_finite(const StepResult& result, const Posted& step) {
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm) && step.overflow == 0) return;
  posted_ = 0;
  start_clip();
  CARAVAN_CHECK(step.overflow == 0, NumericalError,
                fmt::format("step {}: {}", step.settings.step, without_room(step.overflow)));
  std::int64_t first = step.first_sample;
  parts_.tokens.host.all_reduce(TensorView(&first, DType::i64, {1}), ReduceOp::min);
  throw NumericalError(fmt::format(
      "step {}: loss {}{} and gradient norm {} in the batch of {} sequences from sample {} on "
      "(not finite{}). Lower train.lr, or look at these samples?",
      step.settings.step, result.loss,
      result.balance_loss == 0 ? "" : fmt::format(", balance loss {}", result.balance_loss), result.grad_norm,
      step.settings.global_sequences, first, std::isfinite(result.grad_norm) ? "" : ", nothing was updated"));
}

}  // namespace caravan

#include "plugins/layer/attention/context_keys.hpp"

#include <string>

#include "caravan/check.hpp"

namespace caravan::attention {

ContextKeys::ContextKeys(const Host& host, std::int64_t chunk, std::int64_t width)
    : rows_(host), chunk_(chunk), width_(width) {}

bool ContextKeys::travel(const BatchShape& shape) const {
  if (!has_ranks() || chunk_ == 0) return has_ranks();
  for (int rank = 0; rank < rows_.ranks(); ++rank) {
    for (const PositionRange& block : rows_.map(shape, rank).ranges())
      if (block.size() > 0 && block.begin % chunk_ != 0) return true;
  }
  return false;
}

void ContextKeys::plan(const BatchShape& shape, StashPlan& plan) {
  CARAVAN_CHECK(!has_ranks() || shape.phase != Phase::decode, ConfigError,
                "parallel.context=" + std::to_string(rows_.ranks()) +
                    " with decoding (a token that is decoded is on one rank). parallel.context=1?");
  const bool travels = travel(shape);
  const Shape none{0, width_}, memory = travels ? rows_.memory(shape, width_) : none;
  const Shape all = travels ? Shape{shape.sequences * shape.sequence_length(), width_} : none;
  const bool is_training = shape.phase == Phase::train;
  sent_ = plan.add("keys.sent", shape.compute, memory, Lifetime::forward, "keys");
  whole_ = plan.add("keys", shape.compute, all, Lifetime::input);
  gradient_ = plan.add("keys.gradient", shape.compute, is_training ? all : none, Lifetime::backward);
  sent_gradient_ =
      plan.add("keys.gradient.sent", shape.compute, is_training ? memory : none, Lifetime::backward);
}

std::array<QueryBlock, 2> ContextKeys::blocks(const Run& run) const {
  if (!has_ranks()) return {QueryBlock{0, {0, run.shape.length}, {0, run.shape.length}}};
  std::array<QueryBlock, 2> blocks;
  std::int64_t row = 0;
  const TokenMap own = rows_.map(run.shape, rows_.rank());
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    const PositionRange queries = own.ranges()[index];
    // Without keys of others a block begins with a chunk, so this is the block's own first token.
    const std::int64_t first = chunk_ > 0 ? queries.begin / chunk_ * chunk_ : 0;
    blocks[index] = {row, queries, {first, queries.end}};
    row += queries.size();
  }
  return blocks;
}

void ContextKeys::send(Run& run, const Frame& frame, TensorView keys) const {
  if (!travel(run.shape) || !run.makes(frame, whole_)) return;
  run.device.copy_rows(Lane::compute, rows_.own(run.shape, frame[sent_]), keys);
}

void ContextKeys::receive(Run& run, const Frame& frame) const {
  if (!travel(run.shape) || !run.makes(frame, whole_)) return;
  rows_.put_together(run.device, run.shape, frame[sent_], frame[whole_]);
}

TensorView ContextKeys::start_gradient(Run& run, const Frame& frame, const QueryBlock& block,
                                       Gradient which) const {
  const TensorView sum = frame[gradient_];
  if (which == Gradient::added) return frame[sent_gradient_].rows(0, sum.extent(0));
  const std::int64_t length = run.shape.sequence_length();
  const auto clear = [&](TensorView rows) { run.device.fill_zero(Lane::compute, rows.data, rows.bytes()); };
  for (std::int64_t first = 0; first < sum.extent(0); first += length) {
    if (block.keys.begin > 0) clear(sum.rows(first, first + block.keys.begin));
    if (block.keys.end < length) clear(sum.rows(first + block.keys.end, first + length));
  }
  return sum;
}

void ContextKeys::add_gradient(Run& run, const Frame& frame, const QueryBlock& block) const {
  const std::int64_t length = run.shape.sequence_length(), rows = frame[gradient_].extent(0);
  for (std::int64_t first = 0; first < rows; first += length) {
    const auto keys_of = [&](Entry entry) {
      return frame[entry].rows(first + block.keys.begin, first + block.keys.end);
    };
    run.ops.add({keys_of(sent_gradient_), keys_of(gradient_)});
  }
}

void ContextKeys::send_gradient(Run& run, const Frame& frame) const {
  rows_.take_apart(run.device, run.shape, frame[gradient_], frame[sent_gradient_]);
}

void ContextKeys::receive_gradient(Run& run, const Frame& frame, TensorView gradient) const {
  if (travel(run.shape))
    run.device.copy_rows(Lane::compute, gradient, rows_.own(run.shape, frame[sent_gradient_]));
}

double ContextKeys::Exchange::sent_bytes(const BatchShape& shape) const {
  return keys_.travel(shape) ? keys_.rows_.sent_bytes(shape, keys_.width_) : 0;
}

bool ContextKeys::Exchange::posts_again(const Frame& frame) const {
  return frame.repeats[static_cast<std::size_t>(keys_.whole_.index)];
}

void ContextKeys::Exchange::forward(Run& run, Frame& frame) {
  if (!keys_.travel(run.shape) || !run.makes(frame, keys_.whole_)) return;
  run.pending = keys_.rows_.post_gather(frame[keys_.sent_]);
}

void ContextKeys::Exchange::backward_input(Run& run, Frame& frame) {
  if (keys_.travel(run.shape)) run.pending = keys_.rows_.post_sum(frame[keys_.sent_gradient_]);
}

}  // namespace caravan::attention

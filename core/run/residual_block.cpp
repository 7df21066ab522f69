#include "caravan/residual_block.hpp"

namespace caravan {

ResidualBlock::ResidualBlock(const Host& host, const Options& options)
    : width_(options.width),
      rows_(host),
      norm_(*host.parameters, options.norm, width_, options.norm_eps, rows_),
      dropout_(options.stream, options.dropout_stream, options.dropout, width_),
      norm_segment_(*this, "norm",
                    {&ResidualBlock::norm_forward, &ResidualBlock::norm_backward_input,
                     &ResidualBlock::norm_backward_weight}),
      merge_(*this, "merge", {&ResidualBlock::merge_forward, &ResidualBlock::merge_backward_input}),
      gather_("gather", RowsSegment::Forward::gather, rows_, width_, norm_.entries()),
      sum_("sum", RowsSegment::Forward::sum, rows_, width_, {summand_, result_gradient_}) {}

void ResidualBlock::plan(const BatchShape& shape, StashPlan& plan) {
  norm_.plan(shape, plan);
  dropout_.plan(shape, plan);
  const Shape none{0, width_}, memory = rows_.travel() ? rows_.memory(shape, width_) : none;
  summand_ = plan.add("summand", shape.compute, memory, Lifetime::forward, kOutputSection);
  result_gradient_ = plan.add("result.gradient", shape.compute, shape.phase == Phase::train ? memory : none,
                              Lifetime::backward_weight);
}

std::vector<Segment*> ResidualBlock::around(const std::vector<Segment*>& block, const Products& products) {
  if (!rows_.travel()) return block;
  std::vector<Segment*> all{&norm_segment_, &gather_};
  if (rows_.overlap() && products.first) all.push_back(products.first);
  all.insert(all.end(), block.begin(), block.end());
  if (rows_.overlap() && products.last) all.push_back(products.last);
  all.insert(all.end(), {&sum_, &merge_});
  return all;
}

TensorView ResidualBlock::begin(Run& run, Frame& frame) {
  if (!rows_.travel()) norm_.forward(run, frame);
  return norm_.all_output(run, frame);
}

TensorView ResidualBlock::residual(const Run& run, const Frame& frame) const {
  return rows_.travel() ? TensorView{} : dropout_.residual(run, frame);
}

TensorView ResidualBlock::output(const Run& run, const Frame& frame) const {
  return rows_.travel() ? rows_.all(run.shape, frame[summand_]) : frame.y;
}

void ResidualBlock::end(Run& run, Frame& frame) {
  if (!rows_.travel()) dropout_.finish(run, frame);
}

TensorView ResidualBlock::begin_backward(Run& run, Frame& frame) {
  if (!rows_.travel()) dropout_.backward_input(run, frame);
  return result_gradient(run, frame);
}

void ResidualBlock::end_backward(Run& run, Frame& frame) {
  if (!rows_.travel()) norm_.backward_input(run, frame, frame.dy);
}

TensorView ResidualBlock::result_gradient(const Run& run, const Frame& frame) const {
  return rows_.travel() ? rows_.all(run.shape, frame[result_gradient_]) : dropout_.gradient(frame);
}

void ResidualBlock::end_weight(Run& run, Frame& frame) {
  if (!rows_.travel()) norm_.backward_weight(run, frame);
}

void ResidualBlock::merge_backward_input(Run& run, Frame& frame) {
  dropout_.backward_input(run, frame);
  const TensorView own = rows_.own(run.shape, frame[result_gradient_]), gradient = dropout_.gradient(frame);
  run.device.copy(Lane::compute, own.data, gradient.data, gradient.bytes());
}

}  // namespace caravan

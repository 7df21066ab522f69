#pragma once

#include <memory>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::jobs {

/// The weights of a model with low-rank adapters, as those of one without: W + s·B·A, summed in double
/// precision and rounded once to the type that is asked for. A and B are read with every block; they are
/// small.
class MergedSource final : public io::WeightSource {
 public:
  /// `scale`: s.
  MergedSource(std::unique_ptr<io::WeightSource> inner, double scale)
      : inner_(std::move(inner)), scale_(scale) {}

  std::string description() const override { return inner_->description() + " (adapters merged)"; }
  std::vector<std::string> names() const override;
  bool has(const std::string& name) const override;
  Shape shape(const std::string& name) const override { return inner_->shape(name); }
  DType dtype(const std::string& name) const override { return inner_->dtype(name); }
  std::vector<std::string> companions() const override { return inner_->companions(); }
  std::vector<std::string> expert_biases() const override { return inner_->expert_biases(); }
  std::vector<std::string> skipped() const override { return inner_->skipped(); }
  std::vector<std::string> warnings() const override { return inner_->warnings(); }
  std::vector<io::NamedShape> stored_as(const io::NamedShape& ours) const override {
    return inner_->stored_as(ours);
  }
  const io::WeightSource& inner() const noexcept { return *inner_; }

 private:
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                   int threads) const override;

  std::unique_ptr<io::WeightSource> inner_;
  double scale_;
};

/// Of a checkpoint of ours, merged or not; null for other weights.
const io::CheckpointReader* reader_of(const io::WeightSource& weights);
/// Some weight is A or B of an adapter.
bool has_adapters(const io::WeightSource& weights);
/// A checkpoint with adapters as a model without them, which is said; others as they are. `model`: keys of
/// the model that the checkpoint is of; `lora` is taken from it.
std::unique_ptr<io::WeightSource> merge_adapters(std::unique_ptr<io::WeightSource> weights, Config& model);
/// The job without adapters, as text.
std::string without_adapters(const std::string& job_yaml);

}  // namespace caravan::jobs

#pragma once

#include "io/checkpoint/reader.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::io {

/// The weights of a checkpoint of our own: what stands under /model/; its companions, under
/// /other/; and expert biases, under /state/, which `has` and `read` know as well.
class CheckpointSource final : public WeightSource {
 public:
  explicit CheckpointSource(const std::string& folder)
      : reader_(CheckpointReader::open(folder, Check::structure)) {}

  std::string description() const override { return "checkpoint " + reader_.folder(); }
  std::vector<std::string> names() const override { return names_below(kWeights); }
  bool has(const std::string& name) const override { return reader_.has(stored(name)); }
  Shape shape(const std::string& name) const override { return reader_.info(stored(name)).shape; }
  DType dtype(const std::string& name) const override { return reader_.info(stored(name)).dtype; }
  std::vector<std::string> companions() const override { return names_below(kCompanions); }
  std::vector<std::string> expert_biases() const override;
  const CheckpointReader& reader() const noexcept { return reader_; }

 private:
  static constexpr const char *kWeights = "/model/", *kCompanions = "/other/", *kState = "/state/";

  std::vector<std::string> names_below(const std::string& root) const;
  /// The name in the file; of what is in none of the groups, that of a weight.
  std::string stored(const std::string& name) const {
    for (const char* group : {kCompanions, kState})
      if (reader_.has(group + name)) return group + name;
    return kWeights + name;
  }
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                   int threads) const override {
    reader_.read_block(stored(name), origin, to, threads);
  }

  CheckpointReader reader_;
};

}  // namespace caravan::io

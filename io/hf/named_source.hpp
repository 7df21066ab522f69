#pragma once

#include "io/hf/weight_source.hpp"
#include "io/safetensors/set.hpp"

namespace caravan::io {

/// A safetensors file whose names and shapes are ours (torchtitan's); the part that sees, which a conversion
/// puts beside them, are companions.
class NamedSource final : public WeightSource {
 public:
  explicit NamedSource(SafetensorsSet set) : set_(std::move(set)) {}

  std::string description() const override { return "weights " + set_.path(); }
  std::vector<std::string> names() const override { return names_where(false); }
  std::vector<std::string> companions() const override { return names_where(true); }
  bool has(const std::string& name) const override { return set_.has(name); }
  Shape shape(const std::string& name) const override { return set_.info(name).shape(); }
  DType dtype(const std::string& name) const override { return set_.info(name).dtype(); }

 private:
  std::vector<std::string> names_where(bool is_vision) const;
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                   int threads) const override;

  SafetensorsSet set_;
};

}  // namespace caravan::io

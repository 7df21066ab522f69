#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/model.hpp"

namespace caravan::jobs {

/// An embedding, two layers of a kind, and a head.
class RigModel final : public Model {
 public:
  static constexpr int kLayers = 2;

  /// `keys`: of the layer, with `dim`; the names are added.
  RigModel(const std::string& layer, const Config& keys, std::int64_t vocabulary);
  const std::vector<LayerSpec>& layers() const override { return layers_; }
  std::int64_t vocab_size() const override { return vocabulary_; }
  std::int64_t dim() const override { return dim_; }
  std::int64_t chunk_size() const override { return 0; }

 private:
  Config end(const std::string& name) const;

  std::int64_t dim_, vocabulary_;
  std::vector<LayerSpec> layers_;
};

}  // namespace caravan::jobs

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs/inspect/statistics.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// Sums over the tensors of one layer and kind.
struct NormSum {
  double squares = 0;
  std::uint64_t finite = 0, not_finite = 0;

  void add(const Statistics& statistics);
  double norm() const;
  double rms() const;
};

/// L2 norms of a model, layer by layer.
struct LayerNorms {
  std::vector<std::string> kinds;  ///< "attention", …, those that layers have
  std::map<std::int64_t, std::map<std::string, NormSum>> layers;  ///< by layer and kind
  std::map<std::string, NormSum> outside;                         ///< embedding, head, final norm: by name
};

/// Kinds come from names; what has a name of no layer of ours is of kind "other". Reads every tensor once.
LayerNorms layer_norms_of(const TensorSource& source, const std::vector<const TensorEntry*>& tensors);

}  // namespace caravan::jobs

#include "jobs/inspect/layer_norms.hpp"

#include <algorithm>
#include <cmath>

#include "io/checkpoint/parameter_counts.hpp"
#include "jobs/inspect/layout_names.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/statistics_view.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

std::string kind_of(std::string_view name) {
  const auto kind = io::kind_of_name(name);
  return kind ? std::string(name_of(*kind)) : "other";
}

}  // namespace

void NormSum::add(const Statistics& statistics) {
  squares += statistics.squares;
  finite += statistics.finite;
  not_finite += statistics.count - statistics.finite;
}

double NormSum::norm() const {
  return std::sqrt(squares);
}

double NormSum::rms() const {
  return finite > 0 ? std::sqrt(squares / static_cast<double>(finite)) : 0;
}

LayerNorms layer_norms_of(const TensorSource& source, const std::vector<const TensorEntry*>& tensors) {
  LayerNorms norms;
  ProgressLine progress;
  for (const TensorEntry* tensor : tensors) {
    progress.show(printable(tensor->name));
    const std::string_view name = leaf_of(tensor->name);
    const Statistics statistics = statistics_of(source, *tensor);
    const auto layer = layer_of(name);
    if (!layer) {
      norms.outside[std::string(name)].add(statistics);
      continue;
    }
    const std::string kind = kind_of(name);
    if (std::find(norms.kinds.begin(), norms.kinds.end(), kind) == norms.kinds.end())
      norms.kinds.push_back(kind);
    norms.layers[*layer][kind].add(statistics);
  }
  return norms;
}

}  // namespace caravan::jobs

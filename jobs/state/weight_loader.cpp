#include "jobs/state/weight_loader.hpp"

#include <algorithm>

namespace caravan::jobs {

void WeightLoader::load(const Fragment& fragment, const std::vector<DType>& stored,
                        const ParameterStore::Fill& fill) {
  const DType compute = store_.compute();
  const bool is_as_stored =
      std::all_of(stored.begin(), stored.end(), [&](DType type) { return type == compute; });
  if (compute == DType::f32 || !fragment.master.empty() || !is_as_stored) return store_.set(fragment, fill);
  room_.resize(std::max(room_.size(), fragment.weight.bytes()));
  store_.set_weight(fragment, fill, room_);
}

}  // namespace caravan::jobs

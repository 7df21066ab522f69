#include "jobs/state/weight_loader.hpp"

#include <algorithm>

namespace caravan::jobs {

void WeightLoader::load(const Fragment& fragment, const TypeOf& type_of, const ParameterStore::Fill& fill) {
  const DType compute = store_.compute();
  const auto& parts = fragment.parameter->spec().parts;
  const bool is_as_stored = std::all_of(parts.begin(), parts.end(),
                                        [&](const auto& part) { return type_of(part.name) == compute; });
  if (compute == DType::f32 || !fragment.master.empty() || !is_as_stored) return store_.set(fragment, fill);
  room_.resize(std::max(room_.size(), fragment.weight.bytes()));
  store_.set_weight(fragment, fill, room_);
}

}  // namespace caravan::jobs

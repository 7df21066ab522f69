#include "plugins/layer/moe/whole_sequences.hpp"

namespace caravan::moe {
namespace {

void copy(Run& run, TensorView to, TensorView from) {
  run.device.copy(Lane::compute, to.data, from.data, from.bytes());
}

}  // namespace

TokenMap WholeSequences::rows(const Run& run) const {
  TokenMap map = parts_.travel() ? parts_.map(run.shape, parts_.rank())
                                 : TokenMap::whole(0, run.shape.sequence_length());
  return rows_.travel() ? map.from(run.shape.first_row()) : map;
}

WholeSequences::Values WholeSequences::plan(const BatchShape& shape, StashPlan& plan,
                                            const Kind& kind) const {
  const auto add = [&](std::string_view what, bool travels, const Shape& memory, Lifetime lifetime) {
    const Shape none{0, kind.width};
    return plan.add(kind.name + std::string(what), kind.dtype, travels && kind.width > 0 ? memory : none,
                    lifetime, kind.section);
  };
  // What leads to the whole is read no more once that is there; what is made whole leaves it by the parts.
  const bool gathers = kind.lifetime != Lifetime::backward;
  const Lifetime on_the_way = gathers && parts_.travel() ? Lifetime::forward : kind.lifetime;
  return {
      add(".tokens", rows_.travel() && (gathers || !parts_.travel()), rows_.memory(shape, kind.width),
          on_the_way),
      add(".parts", parts_.travel(), parts_.memory(shape, kind.width), on_the_way),
      add(".whole", parts_.travel(), {shape.sequences * shape.sequence_length(), kind.width}, kind.lifetime)};
}

TensorView WholeSequences::gather(Run& run, const Frame& frame, const Values& values, TensorView own) const {
  TensorView tokens = own;
  if (rows_.travel()) {
    const TensorView memory = frame[values.tokens];
    copy(run, rows_.own(run.shape, memory), own);
    Ticket gathered = rows_.post_gather(run.shape, memory);
    rows_.wait(gathered);
    tokens = rows_.all(run.shape, memory);
  }
  if (!parts_.travel()) return tokens;
  const TensorView memory = frame[values.parts], whole = frame[values.whole];
  copy(run, parts_.own(run.shape, memory), tokens);
  Ticket gathered = parts_.post_gather(memory);
  parts_.wait(gathered);
  parts_.put_together(run.device, run.shape, memory, whole);
  return whole;
}

TensorView WholeSequences::own(Run& run, const Frame& frame, const Values& values) const {
  if (!parts_.travel()) return rows_.own(run.shape, frame[values.tokens]);
  const TensorView memory = frame[values.parts];
  parts_.take_apart(run.device, run.shape, frame[values.whole], memory);
  const TensorView tokens = parts_.own(run.shape, memory);
  const std::int64_t first = run.shape.first_row();
  return rows_.travel() ? tokens.rows(first, first + run.shape.rows()) : tokens;
}

}  // namespace caravan::moe

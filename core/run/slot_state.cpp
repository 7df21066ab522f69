#include "core/run/slot_state.hpp"

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {
namespace {

SamplingRules take_rules(Arena& arena, std::int64_t slots) {
  const auto take = [&](DType type) { return arena.take(type, {slots}); };
  return {take(DType::f64), take(DType::i32), take(DType::f64),
          take(DType::f64), take(DType::f64), take(DType::i64)};
}

}  // namespace

/// Tables have a column even where no layer reads them, so that they are views.
SlotState::SlotState(Device& device, Arena& arena, const Needs& needs) : device_(device) {
  const std::int64_t slots = needs.cache.slots;
  const PageNeed need = pages_for(needs.cache.positions, needs.cache.page, needs.chunk);
  pages_ = arena.take(DType::i32, {slots, std::max<std::int64_t>(1, need.pages)});
  chunk_pages_ = arena.take(DType::i32, {slots, std::max<std::int64_t>(1, need.chunk_pages)});
  drawn_ = arena.take(DType::i32, {slots});
  left_ = arena.take(DType::i32, {slots});
  if (needs.keeps_seen) seen_ = arena.take(DType::u8, {slots, needs.vocabulary});
  rules_ = take_rules(arena, slots);
}

void SlotState::begin(const CacheSlots::Slot& slot, const SlotStart& start) {
  const Sampling& how = start.sampling;
  put_pages(pages_, slot.slot, slot.pages);
  put_pages(chunk_pages_, slot.slot, slot.chunk_pages);
  put(drawn_, slot.slot, std::int32_t{0});
  put(left_, slot.slot, static_cast<std::int32_t>(start.most_tokens));
  put(rules_.temperature, slot.slot, how.temperature);
  put(rules_.top_k, slot.slot, static_cast<std::int32_t>(std::min<std::int64_t>(how.top_k, INT32_MAX)));
  put(rules_.top_p, slot.slot, how.top_p);
  put(rules_.min_p, slot.slot, how.min_p);
  put(rules_.repetition, slot.slot, how.repetition);
  put(rules_.seed, slot.slot, static_cast<std::int64_t>(how.seed));
  if (!seen_.empty()) put_seen(slot.slot, start.prompt);
}

void SlotState::put_pages(TensorView table, int slot, const std::vector<std::int32_t>& pages) {
  CARAVAN_EXPECT(std::ssize(pages) <= table.extent(1));
  if (pages.empty()) return;
  device_.copy_from_host(Lane::compute, table.rows(slot, slot + 1).data, pages.data(),
                         pages.size() * sizeof(std::int32_t));
}

void SlotState::put_seen(int slot, std::span<const std::int32_t> prompt) {
  std::vector<std::uint8_t> marks(static_cast<std::size_t>(seen_.extent(1)));
  for (const std::int32_t token : prompt) marks[static_cast<std::size_t>(token)] = 1;
  device_.copy_from_host(Lane::compute, seen_.rows(slot, slot + 1).data, marks.data(), marks.size());
}

}  // namespace caravan

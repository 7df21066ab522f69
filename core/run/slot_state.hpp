#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/ops/sampling.hpp"
#include "core/run/cache_slots.hpp"

namespace caravan {

/// How the tokens of one sequence are chosen; see SamplingRules.
struct Sampling {
  double temperature = 1;
  std::int64_t top_k = 0;
  double top_p = 1, min_p = 0, repetition = 1;
  std::uint64_t seed = 1;
};

/// A sequence that takes a slot.
struct SlotStart {
  Sampling sampling;
  std::int64_t most_tokens = 0;          ///< that it may draw
  std::span<const std::int32_t> prompt;  ///< seen by the repetition rule
};

/// What the slots of a cache are like, in the device's memory: pages, rules, and how far each has come.
class SlotState {
 public:
  struct Needs {
    CacheShape cache;
    std::int64_t chunk = 0;
    std::int64_t vocabulary = 0;
    bool keeps_seen = false;  ///< some sequence has a repetition rule
  };
  /// Takes its memory from `arena`, which may be a measuring one: then nothing but needs may be asked.
  SlotState(Device& device, Arena& arena, const Needs& needs);

  void begin(const CacheSlots::Slot& slot, const SlotStart& start);
  const SamplingRules& rules() const noexcept { return rules_; }
  TensorView pages() const noexcept { return pages_; }              ///< [N, W]
  TensorView chunk_pages() const noexcept { return chunk_pages_; }  ///< [N, C]
  TensorView drawn() const noexcept { return drawn_; }              ///< [N] i32
  TensorView left() const noexcept { return left_; }                ///< [N] i32
  TensorView seen() const noexcept { return seen_; }                ///< [N, V] u8, or empty

 private:
  void put_pages(TensorView table, int slot, const std::vector<std::int32_t>& pages);
  void put_seen(int slot, std::span<const std::int32_t> prompt);
  template <class T>
  void put(TensorView array, int slot, T value) {
    device_.copy_from_host(Lane::compute, array.as<T>() + slot, &value, sizeof value);
  }

  Device& device_;
  TensorView pages_, chunk_pages_, drawn_, left_, seen_;
  SamplingRules rules_;
};

}  // namespace caravan

#include "core/run/whereabouts.hpp"

namespace caravan {
namespace {

Action unpacked(std::uint64_t word) {
  return {static_cast<int>(word >> 32 & 0xffffff), static_cast<ActionKind>(word >> 56),
          static_cast<int>(static_cast<std::uint32_t>(word))};
}

}  // namespace

Whereabouts::Sight Whereabouts::look() const {
  const char* place = place_.load(std::memory_order_relaxed);
  return {ticks_.load(std::memory_order_relaxed), step_.load(std::memory_order_relaxed),
          place ? place : "action " + to_string(unpacked(action_.load(std::memory_order_relaxed)))};
}

}  // namespace caravan

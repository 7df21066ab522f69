#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace caravan::io {

/// Some of a list: from `begin` on, before `end`.
struct ShareOfList {
  std::size_t begin = 0, end = 0;
};

/// What writer `writer` of `writers` does of a list of works of so many bytes: neighbours, about as many
/// bytes as the others. All shares together are the list.
ShareOfList share_of_list(std::span<const std::uint64_t> bytes, int writer, int writers);

}  // namespace caravan::io

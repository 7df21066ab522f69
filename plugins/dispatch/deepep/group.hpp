#pragma once

#include <cstdint>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/device.hpp"
#include "plugins/dispatch/deepep/landing.hpp"

namespace caravan::deepep {

/// What all layers of a rank share of its expert group: where rows land, and the way of the routers' counts,
/// one row of them to the same row of the table of each rank.
struct Group {
  Group(Device& device, Communicator& members, double timeout_s)
      : landing(device, members, timeout_s),
        memory(device, 3 * (kNumber * static_cast<std::size_t>(members.size()) + Arena::kAlignment), "ranks"),
        every_rank(memory.take(DType::i32, {members.size()})),
        own_row(memory.take(DType::i32, {members.size()})),
        the_row(memory.take(DType::i32, {members.size()})) {
    std::vector<std::int32_t> ranks(static_cast<std::size_t>(members.size()));
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rank] = static_cast<std::int32_t>(rank);
    upload(device, ranks, every_rank);
    upload(device, std::vector<std::int32_t>(ranks.size(), members.rank()), own_row);
    upload(device, std::vector<std::int32_t>(ranks.size(), 0), the_row);
  }

  Landing landing;
  Arena memory;
  TensorView every_rank;  ///< [P] i32 0 to P − 1
  TensorView own_row;     ///< [P] i32 this rank
  TensorView the_row;     ///< [P] i32 0: the one row that is sent

 private:
  static constexpr std::size_t kNumber = sizeof(std::int32_t);
  static void upload(Device& device, const std::vector<std::int32_t>& from, const TensorView& to) {
    device.copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
  }
};

}  // namespace caravan::deepep

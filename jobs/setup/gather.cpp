#include "jobs/setup/gather.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "core/run/message_tags.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

TensorView bytes_of(std::string& text) {
  return {text.data(), DType::u8, {static_cast<std::int64_t>(text.size())}};
}

}  // namespace

std::vector<std::string> gather_texts(Communicator& world, const std::string& text) {
  std::string mine = text;
  std::int64_t size = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(world.size()));
  world.all_gather(TensorView(&size, DType::i64, {1}), TensorView(sizes.data(), DType::i64, {world.size()}));
  if (world.rank() != 0) {
    Ticket ticket = world.post_send(bytes_of(mine), 0, kTextTag);
    world.wait(ticket);
    return {};
  }
  std::vector<std::string> texts{mine};
  for (int rank = 1; rank < world.size(); ++rank) {
    texts.emplace_back(static_cast<std::size_t>(sizes[static_cast<std::size_t>(rank)]), '\0');
    Ticket ticket = world.post_recv(bytes_of(texts.back()), rank, kTextTag);
    world.wait(ticket);
  }
  return texts;
}

std::string first_text(Communicator& world, const std::string& text) {
  const auto texts = gather_texts(world, text);
  const auto found =
      std::find_if(texts.begin(), texts.end(), [](const std::string& each) { return !each.empty(); });
  if (found == texts.end()) return broadcast_text(world, "");
  const std::string who = world.size() > 1 ? fmt::format("on rank {}: ", found - texts.begin()) : "";
  return broadcast_text(world, who + *found);
}

bool is_true_anywhere(Communicator& world, bool mine) {
  std::int32_t value = mine ? 1 : 0;
  world.all_reduce(TensorView(&value, DType::i32, {1}), ReduceOp::max);
  return value != 0;
}

}  // namespace caravan::jobs

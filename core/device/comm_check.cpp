#include "caravan/comm_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caravan/check.hpp"
#include "caravan/peer_window.hpp"

namespace caravan {

std::int64_t row_bytes(const TensorView& view) {
  std::int64_t elements = 1;
  for (int axis = 1; axis < view.shape.rank(); ++axis) elements *= view.extent(axis);
  return elements * static_cast<std::int64_t>(size_of(view.dtype));
}

std::string missing_text(const AtMeeting& at, const std::vector<int>& missing) {
  return fmt::format(
      "rank {} waits for rank {} at meeting {} of group '{}' ({:g} s are over). Has it ended, or does "
      "it wait for another itself?",
      at.rank, fmt::join(missing, ", "), at.number, at.group, at.timeout_s);
}

std::string CommCheck::at(const char* what) const {
  return fmt::format("{} on group '{}': ", what, group_);
}

void CommCheck::contiguous(const TensorView& view, const char* what) const {
  CARAVAN_CHECK(view.contiguous(), CommError,
                at(what) + fmt::format("{} is not contiguous (only whole memory travels). Copy it first?",
                                       to_string(view.shape)));
}

void CommCheck::peer(int peer, int tag, int last_tag, const char* what) const {
  CARAVAN_CHECK(
      peer >= 0 && peer < size_ && peer != rank_, CommError,
      at(what) + fmt::format("rank {} talks to rank {} (must be another rank below {})", rank_, peer, size_));
  CARAVAN_CHECK(tag >= 0 && tag <= last_tag, CommError,
                at(what) + fmt::format("tag {} (must be 0 to {})", tag, last_tag));
}

void CommCheck::root(int root, const char* what) const {
  CARAVAN_CHECK(root >= 0 && root < size_, CommError,
                at(what) + fmt::format("from rank {} (must be below {})", root, size_));
}

void CommCheck::blocks(const TensorView& block, const TensorView& blocks, const char* what) const {
  contiguous(block, what);
  contiguous(blocks, what);
  CARAVAN_CHECK(
      block.dtype == blocks.dtype && block.count() * size_ == blocks.count(), CommError,
      at(what) + fmt::format("{} {} against {} {} (needs {} equal blocks of one type)", name_of(block.dtype),
                             to_string(block.shape), name_of(blocks.dtype), to_string(blocks.shape), size_));
}

void CommCheck::exchanged(const TensorView& in, const TensorView& out, const char* what) const {
  contiguous(in, what);
  contiguous(out, what);
  CARAVAN_CHECK(in.bytes() == out.bytes() && in.dtype == out.dtype && in.count() % size_ == 0, CommError,
                at(what) + fmt::format("{} to {} (needs {} equal blocks each way)", to_string(in.shape),
                                       to_string(out.shape), size_));
}

void CommCheck::rows(const TensorView& in, const TensorView& out, const char* what) const {
  contiguous(in, what);
  contiguous(out, what);
  CARAVAN_CHECK(row_bytes(in) == row_bytes(out) && in.dtype == out.dtype, CommError,
                at(what) + fmt::format("rows of {} against rows of {} (must be equal)", to_string(in.shape),
                                       to_string(out.shape)));
}

void CommCheck::counts(std::span<const std::int64_t> counts, std::int64_t most, std::string_view which,
                       const char* what) const {
  CARAVAN_CHECK(std::ssize(counts) == size_, CommError,
                at(what) + fmt::format("{} {} (needs one a rank, {})", counts.size(), which, size_));
  std::int64_t sum = 0;
  for (std::size_t peer = 0; peer < counts.size(); ++peer) {
    CARAVAN_CHECK(counts[peer] >= 0 && counts[peer] <= most - sum, CommError,
                  at(what) + fmt::format("{} of rank {} is {} (must be 0 to {}: there are {} rows)", which,
                                         peer, counts[peer], most - sum, most));
    sum += counts[peer];
  }
}

}  // namespace caravan

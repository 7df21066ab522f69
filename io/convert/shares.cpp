#include "io/convert/shares.hpp"

#include <numeric>

namespace caravan::io {

ShareOfList share_of_list(std::span<const std::uint64_t> bytes, int writer, int writers) {
  const std::uint64_t total = std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
  const auto bound = [&](int index) {  // in two parts, because the product may not fit
    const auto n = static_cast<std::uint64_t>(index), of = static_cast<std::uint64_t>(writers);
    return index == writers ? total : total / of * n + total % of * n / of;
  };
  ShareOfList share{bytes.size(), bytes.size()};
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < bytes.size(); before += bytes[i++]) {
    const bool is_behind = before >= bound(writer + 1) && writer + 1 < writers;
    if (before >= bound(writer) && share.begin == bytes.size() && !is_behind) share.begin = i;
    if (is_behind && share.end == bytes.size()) share.end = i;
  }
  if (share.begin > share.end) share.begin = share.end;
  return share;
}

}  // namespace caravan::io

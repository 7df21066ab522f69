#include <algorithm>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {

void HostOps::add(const Add& args) {
  const Call call("add");
  Line y = call.flat("y", args.y, kAny);
  const Line x = call.flat("x", args.x, y.size());
  team_.for_elements(y.size(), [&](std::int64_t begin, std::int64_t end) {
    y.segment(begin, end - begin) += x.segment(begin, end - begin);
  });
}

void HostOps::sum_of_squares(const SumOfSquares& args) {
  const Call call("sum_of_squares");
  const Line x = call.flat("x", args.x, kAny);
  double* out = call.scalar_f64("out", args.out);
  // Parts that fit the first cache go to double, so that the error does not grow with the count.
  constexpr std::int64_t kPart = 4096;
  const std::int64_t parts = (x.size() + kPart - 1) / kPart;
  shared_.begin(2 * static_cast<std::size_t>(parts), 1);
  double* const sums = shared_.take_as<double>(static_cast<std::size_t>(parts));
  team_.for_each(parts, kPart, [&](std::int64_t part, std::int64_t) {
    const std::int64_t begin = part * kPart;
    sums[part] = x.segment(begin, std::min(kPart, x.size() - begin)).square().sum();
  });
  for (std::int64_t part = 0; part < parts; ++part) *out += sums[part];
}

}  // namespace caravan::host

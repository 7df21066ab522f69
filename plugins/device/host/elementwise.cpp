#include <algorithm>

#include "host_ops.hpp"
#include "parallel.hpp"
#include "view.hpp"

namespace caravan::host {

void HostOps::add(const Add& args) {
  const Call call("add");
  Line y = call.flat("y", args.y, kAny);
  const Line x = call.flat("x", args.x, y.size());
  for_ranges(y.size(), [&](std::int64_t begin, std::int64_t end, std::int64_t) {
    y.segment(begin, end - begin) += x.segment(begin, end - begin);
  });
}

void HostOps::sum_of_squares(const SumOfSquares& args) {
  const Call call("sum_of_squares");
  const Line x = call.flat("x", args.x, kAny);
  double* out = call.scalar_f64("out", args.out);
  // Parts that fit the first cache go to double, so that the error does not grow with the count.
  constexpr std::int64_t kPart = 4096;
  for (std::int64_t begin = 0; begin < x.size(); begin += kPart) {
    *out += x.segment(begin, std::min(kPart, x.size() - begin)).square().sum();
  }
}

}  // namespace caravan::host

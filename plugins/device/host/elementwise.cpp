#include <fmt/format.h>

#include <algorithm>

#include "host_ops.hpp"
#include "parallel.hpp"
#include "vec.hpp"
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

void HostOps::dropout(const Dropout& args) {
  const Call call("dropout");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  if (!(args.probability >= 0 && args.probability < 1)) {
    call.fail(fmt::format("dropout probability {} (must be in [0, 1))", args.probability));
  }
  const float kept = 1.0f / (1.0f - args.probability);
  for_each(x.rows, [&](std::int64_t r, std::int64_t) {
    float* row = x.row(r);
    const auto stream_row = static_cast<std::uint64_t>(args.first_row + r);
    // One draw serves four neighbours, as uniform() defines it.
    for (std::int64_t c = 0; c < x.columns; c += 4) {
      const auto bits = philox(args.key, stream_row, static_cast<std::uint64_t>(c) >> 2);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(4, x.columns - c); ++i) {
        row[c + i] *= unit_float(bits[static_cast<std::size_t>(i)]) < args.probability ? 0.0f : kept;
      }
    }
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

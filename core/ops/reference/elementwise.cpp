#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

void ReferenceOps::dropout(const Dropout& args) {
  const Call call("dropout");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  call.check_probability(args.probability);

  for (std::int64_t row = 0; row < x.extent(0); ++row) {
    for (std::int64_t column = 0; column < x.extent(1); ++column) {
      x(row, column) *= dropout_factor(args.key, args.rows.token(row), column, args.probability);
    }
  }
}

void ReferenceOps::add(const Add& args) {
  const Call call("add");
  const auto x = call.flat("x", args.x, kAny);
  const auto y = call.flat("y", args.y, x.extent(0));

  for (std::int64_t i = 0; i < x.extent(0); ++i) y(i) += x(i);
}

}  // namespace caravan

#include <fmt/format.h>

#include <algorithm>

#include "host_ops.hpp"
#include "parallel.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// Before the loop, because an exception must not leave a worker.
void check_ids(const Call& call, const std::int32_t* ids, std::int64_t count, std::int64_t vocabulary) {
  for (std::int64_t t = 0; t < count; ++t) {
    if (ids[t] < 0 || ids[t] >= vocabulary) {
      call.fail(fmt::format("ids[{}] is {} (the vocabulary has {})", t, ids[t], vocabulary));
    }
  }
}

}  // namespace

void HostOps::embedding_forward(const EmbeddingForward& args) {
  const Call call("embedding_forward");
  const Matrix table = call.matrix("table", args.table, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, kAny, table.columns);
  const std::int32_t* ids = call.indices("ids", args.ids, out.rows);
  check_ids(call, ids, out.rows, table.rows);
  for_each(out.rows, [&](std::int64_t t, std::int64_t) { out.line(t) = table.line(ids[t]); });
}

void HostOps::embedding_backward_weight(const EmbeddingBackwardWeight& args) {
  const Call call("embedding_backward_weight");
  const Matrix dtable = call.matrix("dtable", args.dtable, kAny, kAny);
  const Matrix dout = call.matrix("dout", args.dout, kAny, dtable.columns);
  const std::int32_t* ids = call.indices("ids", args.ids, dout.rows);
  check_ids(call, ids, dout.rows, dtable.rows);
  // One after the other: two tokens may be the same word.
  for (std::int64_t t = 0; t < dout.rows; ++t) dtable.line(ids[t]) += dout.line(t);
}

void HostOps::add_positions(const AddPositions& args) {
  const Call call("add_positions");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix table = call.matrix("table", args.table, kAny, x.columns);
  if (const std::string problem = problem_with(args.tokens, table.rows); !problem.empty()) call.fail(problem);
  for_each(x.rows, [&](std::int64_t t, std::int64_t) { x.line(t) += table.line(args.tokens.position(t)); });
}

}  // namespace caravan::host

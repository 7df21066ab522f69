#include <fmt/format.h>

#include <algorithm>

#include "caravan/ops/id_range.hpp"
#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// Before the loop, because an exception must not leave a worker.
const std::int32_t* check_ids(const Call& call, const TensorView& view, std::int64_t count,
                              const IdRange& all) {
  const std::int32_t* ids = call.indices("ids", view, count);
  for (std::int64_t t = 0; t < count; ++t) {
    if (all.has(ids[t])) continue;
    call.fail(fmt::format("ids[{}] is {} (the vocabulary has {}{})", t, ids[t], all.count, all.from_where()));
  }
  return ids;
}

/// Other rows are other ranks'.
bool has_row(const Matrix& table, std::int64_t row) {
  return row >= 0 && row < table.rows;
}

}  // namespace

void HostOps::embedding_forward(const EmbeddingForward& args) {
  const Call call("embedding_forward");
  const Matrix table = call.matrix("table", args.table, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, kAny, table.columns);
  const std::int32_t* ids = check_ids(call, args.ids, out.rows, ids_of_all_ranks(args, table.rows));
  team_.for_each(out.rows, out.columns, [&](std::int64_t t, std::int64_t) {
    const std::int64_t row = ids[t] - args.first_id;
    if (has_row(table, row)) {
      out.line(t) = table.line(row);
    } else {
      out.line(t) = 0;
    }
  });
}

void HostOps::embedding_backward_weight(const EmbeddingBackwardWeight& args) {
  const Call call("embedding_backward_weight");
  const Matrix dtable = call.matrix("dtable", args.dtable, kAny, kAny);
  const Matrix dout = call.matrix("dout", args.dout, kAny, dtable.columns);
  const std::int32_t* ids = check_ids(call, args.ids, dout.rows, ids_of_all_ranks(args, dtable.rows));
  // Tokens one after the other, since two may be the same word: threads share the columns.
  team_.for_columns(dout.rows, dout.columns, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t t = 0; t < dout.rows; ++t) {
      const std::int64_t row = ids[t] - args.first_id;
      if (has_row(dtable, row)) Line(dtable.row(row) + first, count) += ConstLine(dout.row(t) + first, count);
    }
  });
}

void HostOps::add_positions(const AddPositions& args) {
  const Call call("add_positions");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix table = call.matrix("table", args.table, kAny, x.columns);
  const std::int32_t* positions =
      args.positions.empty() ? nullptr : call.indices("positions", args.positions, x.rows);
  if (const std::string problem = problem_with(args, table.rows); !problem.empty()) call.fail(problem);
  team_.for_each(x.rows, x.columns, [&](std::int64_t t, std::int64_t) {
    const std::int64_t position = positions ? positions[t] : args.tokens.position(t);
    if (position >= 0) x.line(t) += table.line(position);
  });
}

}  // namespace caravan::host

#include <fmt/format.h>

#include <map>
#include <vector>

#include "caravan/ops/id_range.hpp"
#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

void check_ids(const Call& call, const Vector<std::int32_t>& ids, const IdRange& all) {
  for (std::int64_t t = 0; t < ids.extent(0); ++t) {
    if (all.has(ids(t))) continue;
    call.fail(
        fmt::format("id {} of token {} (the table has {} rows{})", ids(t), t, all.count, all.from_where()));
  }
}

/// Other rows are other ranks'.
bool has_row(const Matrix<float>& table, std::int64_t row) {
  return row >= 0 && row < table.extent(0);
}

}  // namespace

void ReferenceOps::embedding_forward(const EmbeddingForward& args) {
  const Call call("embedding_forward");
  const auto ids = call.vector<std::int32_t>("ids", args.ids, kAny);
  const auto table = call.matrix("table", args.table, kAny, kAny);
  const auto out = call.matrix("out", args.out, ids.extent(0), table.extent(1));
  check_ids(call, ids, ids_of_all_ranks(args, table.extent(0)));

  for (std::int64_t t = 0; t < out.extent(0); ++t) {
    const std::int64_t row = ids(t) - args.first_id;
    for (std::int64_t h = 0; h < out.extent(1); ++h) out(t, h) = has_row(table, row) ? table(row, h) : 0;
  }
}

void ReferenceOps::embedding_backward_weight(const EmbeddingBackwardWeight& args) {
  const Call call("embedding_backward_weight");
  const auto ids = call.vector<std::int32_t>("ids", args.ids, kAny);
  const auto dtable = call.f32_matrix("dtable", args.dtable, kAny, kAny);
  const std::int64_t width = dtable.extent(1);
  const auto dout = call.matrix("dout", args.dout, ids.extent(0), width);
  check_ids(call, ids, ids_of_all_ranks(args, dtable.extent(0)));

  std::map<std::int64_t, std::vector<double>> sums;
  for (std::int64_t t = 0; t < ids.extent(0); ++t) {
    const std::int64_t row = ids(t) - args.first_id;
    if (!has_row(dtable, row)) continue;
    auto& sum = sums.try_emplace(row, width, 0.0).first->second;
    for (std::int64_t h = 0; h < width; ++h) sum[h] += dout(t, h);
  }
  for (const auto& [row, sum] : sums) {
    for (std::int64_t h = 0; h < width; ++h) dtable(row, h) = static_cast<float>(dtable(row, h) + sum[h]);
  }
}

void ReferenceOps::add_positions(const AddPositions& args) {
  const Call call("add_positions");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto table = call.f32_matrix("table", args.table, kAny, x.extent(1));
  const auto positions = args.positions.empty()
                             ? Vector<std::int32_t>{}
                             : call.vector<std::int32_t>("positions", args.positions, x.extent(0));
  if (const std::string problem = problem_with(args, table.extent(0)); !problem.empty()) call.fail(problem);

  for (std::int64_t t = 0; t < x.extent(0); ++t) {
    const std::int64_t position = positions ? positions(t) : args.tokens.position(t);
    if (position < 0) continue;
    for (std::int64_t h = 0; h < x.extent(1); ++h) x(t, h) += table(position, h);
  }
}

}  // namespace caravan

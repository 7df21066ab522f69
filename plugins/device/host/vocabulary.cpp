#include <algorithm>
#include <limits>

#include "head.hpp"
#include "host_ops.hpp"

namespace caravan::host {
namespace {

template <class Args>
Head check_part(const Call& call, const Args& args, const Team& team, Products& products) {
  const Head head = check_head(call, args, team, products);
  check_labels(call, head, ids_of_all_ranks(args, head.w.rows));
  return head;
}

/// A token's label as column of the rank's logits, or none.
struct LabelColumn {
  std::int64_t column;
  bool exists;

  LabelColumn(const Head& head, std::int64_t t, std::int64_t first_id)
      : column(head.labels[t] - first_id), exists(column >= 0 && column < head.w.rows) {}
};

constexpr float kLowest = std::numeric_limits<float>::lowest();

void write_statistics(const Matrix& statistics, std::int64_t t, float* row, std::int64_t columns,
                      const LabelColumn& label) {
  // The exponentials take the place of the logits.
  statistics.row(2)[t] = label.exists ? row[label.column] : 0;
  const float maximum = std::max(kLowest, row_maximum(row, columns));
  statistics.row(0)[t] = maximum;
  statistics.row(1)[t] = static_cast<float>(exponentiate(row, columns, maximum));
}

void to_gradient(Line& row, float lse, const LabelColumn& label, float scale) {
  exponentiate(row.data(), row.size(), lse);
  row *= scale;
  if (label.exists) row[label.column] -= scale;
}

}  // namespace

void HostOps::vocabulary_statistics(const VocabularyStatistics& args) {
  const Call call("vocabulary_statistics");
  Head head = check_part(call, args, team_, products_);
  head.logits = call.optional_matrix("logits", args.logits, head.x.rows, head.w.rows);
  const Matrix statistics = call.matrix("statistics", args.statistics, 3, head.x.rows);
  if (head.w.rows == 0) {
    statistics.line(0) = kLowest, statistics.line(1) = 0, statistics.line(2) = 0;
    return;
  }
  LogitBlocks(head, workspace(0)).walk([&](std::int64_t first, const Matrix& z) {
    team_.for_each(z.rows, 4 * z.columns, [&](std::int64_t r, std::int64_t) {
      const std::int64_t t = first + r;
      write_statistics(statistics, t, z.row(r), z.stride, LabelColumn(head, t, args.first_id));
    });
  });
}

void HostOps::vocabulary_gradient(const VocabularyGradient& args) {
  const Call call("vocabulary_gradient");
  Head head = check_part(call, args, team_, products_);
  const float* lse = call.vector("lse", args.lse, head.x.rows);
  head.dx = call.matrix("dx", args.dx, head.x.rows, head.x.columns);
  head.dw = call.optional_matrix("dw", args.dw, head.w.rows, head.w.columns);
  head.dbias = call.optional_vector("dbias", args.dbias, head.w.rows);
  if (head.w.rows == 0) {
    team_.for_each(head.dx.rows, head.dx.columns, [&](std::int64_t t, std::int64_t) { head.dx.line(t) = 0; });
    return;
  }
  LogitBlocks(head, workspace(0)).walk([&](std::int64_t first, const Matrix& z) {
    team_.for_each(z.rows, 4 * z.columns, [&](std::int64_t r, std::int64_t) {
      const std::int64_t t = first + r;
      Line row(z.row(r), z.stride);
      if (head.labels[t] == kIgnoredLabel) {
        row = 0;
      } else {
        to_gradient(row, lse[t], LabelColumn(head, t, args.first_id), args.gradient_scale);
      }
    });
    add_gradients(head, first, z);
  });
}

}  // namespace caravan::host

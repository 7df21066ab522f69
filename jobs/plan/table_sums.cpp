#include "jobs/plan/table_sums.hpp"

#include <fmt/format.h>

#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// Of the largest slice that a tensor rank has, so that all decide alike.
std::int64_t elements_of(const Parameter& table, const Mesh& mesh) {
  Shape shape = table.spec().shape;
  for (const Cut& cut : table.spec().sharding.cuts) {
    const int degree = mesh.degree(cut.by);
    shape.set(cut.axis, (shape[cut.axis] + degree - 1) / degree);
  }
  return shape.count();
}

/// A sum into the stretches of n ranks brings (n - 1) / n of it to each, one over m replicas twice (m - 1) /
/// m of its stretch.
double bytes_of_wholes(const Parameter& table, const Mesh& mesh) {
  const double shards = mesh.degree(MeshAxis::fsdp), replicas = mesh.degree(MeshAxis::dp_replicate);
  const double all = static_cast<double>(elements_of(table, mesh)) * sizeof(float);
  return all * (shards - 1) / shards + 2 * all / shards * (replicas - 1) / replicas;
}

double bytes_by_rows(const Parameter& table, const Mesh& mesh, const BatchShape& shape,
                     std::int64_t microbatches) {
  const double of_token = static_cast<double>(table.shape().count() / table.shape()[0]) *
                              static_cast<double>(size_of(shape.compute)) +
                          sizeof(std::int32_t);
  const double tokens = static_cast<double>(shape.of_largest_rank().tokens() * microbatches);
  return (mesh.degree(MeshAxis::loss) - 1) * tokens * of_token;
}

std::string why_whole(const Parameter& table, const TableSum& sum) {
  if (table.uses > 1) return "other layers add to it too";
  if (!table.can_sum_rows()) return "tensor ranks have the same rows";
  return sum.by_rows < sum.of_wholes ? "" : "rows would be no fewer bytes";
}

}  // namespace

std::vector<TableSum> table_sums(const ParameterStore& whole, const Mesh& mesh, const BatchShape& shape,
                                 std::int64_t microbatches) {
  std::vector<TableSum> sums;
  if (mesh.degree(MeshAxis::loss) == 1) return sums;
  for (const auto& parameter : whole.parameters()) {
    if (!parameter->row_sums_are_offered()) continue;
    TableSum& sum = sums.emplace_back(TableSum{parameter->spec().name,
                                               bytes_by_rows(*parameter, mesh, shape, microbatches),
                                               bytes_of_wholes(*parameter, mesh), ""});
    sum.why_whole = why_whole(*parameter, sum);
  }
  return sums;
}

std::vector<std::string> summed_by_rows(const std::vector<TableSum>& tables) {
  std::vector<std::string> names;
  for (const TableSum& table : tables)
    if (table.sums_rows()) names.push_back(table.name);
  return names;
}

std::string describe(const std::vector<TableSum>& tables) {
  std::string text;
  for (const TableSum& table : tables) {
    const std::string rows = bytes_text(table.by_rows), wholes = bytes_text(table.of_wholes);
    text += table.sums_rows() ? fmt::format("  gradient of {}: summed by rows, {} a step (whole: {})\n",
                                            table.name, rows, wholes)
                              : fmt::format("  gradient of {}: summed whole, {} a step (by rows: {}; {})\n",
                                            table.name, wholes, rows, table.why_whole);
  }
  return text;
}

}  // namespace caravan::jobs

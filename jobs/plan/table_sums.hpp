#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/layer.hpp"
#include "caravan/mesh.hpp"

namespace caravan::jobs {

/// How the gradient of a table that tokens look rows up in is summed over the ranks that hold other tokens.
struct TableSum {
  std::string name;
  // What a rank receives in a step, in bytes.
  double by_rows = 0;     ///< tokens and rows of all ranks
  double of_wholes = 0;   ///< gradients of the whole table, into stretches and over replicas
  std::string why_whole;  ///< empty: by rows
  bool sums_rows() const { return why_whole.empty(); }
};

/// Of each parameter of the whole model whose layer looks up rows; the same on all ranks. Empty where no
/// other rank holds other tokens.
std::vector<TableSum> table_sums(const ParameterStore& whole, const Mesh& mesh, const BatchShape& shape,
                                 std::int64_t microbatches);
/// The names of those whose rows are summed.
std::vector<std::string> summed_by_rows(const std::vector<TableSum>& tables);
/// A line for each.
std::string describe(const std::vector<TableSum>& tables);

}  // namespace caravan::jobs

#include "plugins/dispatch/all_to_all/row_plan.hpp"

#include <algorithm>
#include <numeric>

namespace caravan::all_to_all {
namespace {

/// Rows of `from` that go to the experts of `to`.
std::int64_t rows_between(const RowPlan::Group& group, std::span<const std::int32_t> first_rows, int from,
                          int to) {
  const std::int64_t local = group.experts / group.ranks;
  const auto* rows = first_rows.data() + from * (group.experts + 1);
  return std::int64_t{rows[(to + 1) * local]} - rows[to * local];
}

}  // namespace

void RowPlan::make(const Group& group, std::span<const std::int32_t> first_rows) {
  const auto ranks = static_cast<std::size_t>(group.ranks);
  sent_.assign(ranks, 0);
  received_.assign(ranks, 0);
  offsets_.assign(static_cast<std::size_t>(group.experts / group.ranks) + 1, 0);
  arrival_of_.clear();
  place_of_.clear();
  is_overfull_ = !fits(group, first_rows);
  if (!is_overfull_) {
    for (int peer = 0; peer < group.ranks; ++peer) {
      sent_[static_cast<std::size_t>(peer)] = rows_between(group, first_rows, group.rank, peer);
      received_[static_cast<std::size_t>(peer)] = rows_between(group, first_rows, peer, group.rank);
    }
    order(group, first_rows);
  }
  rows_sent_ = std::reduce(sent_.begin(), sent_.end());
}

bool RowPlan::fits(const Group& group, std::span<const std::int32_t> first_rows) {
  without_room_ = 0;
  for (int to = 0; to < group.ranks; ++to) {
    std::int64_t rows = 0;
    for (int from = 0; from < group.ranks; ++from) rows += rows_between(group, first_rows, from, to);
    without_room_ += std::max<std::int64_t>(rows - group.most_received, 0);
  }
  return without_room_ == 0;
}

void RowPlan::order(const Group& group, std::span<const std::int32_t> first_rows) {
  const std::int64_t local = group.experts / group.ranks, first_expert = local * group.rank;
  std::vector<std::int64_t> arrives(received_.size());  // where the block of each sender begins
  std::exclusive_scan(received_.begin(), received_.end(), arrives.begin(), std::int64_t{0});
  place_of_.resize(static_cast<std::size_t>(std::reduce(received_.begin(), received_.end())));
  for (std::int64_t expert = 0; expert < local; ++expert) {
    for (int from = 0; from < group.ranks; ++from) {
      const auto* rows = first_rows.data() + from * (group.experts + 1) + first_expert;
      std::int64_t arrival = arrives[static_cast<std::size_t>(from)] + rows[expert] - rows[0];
      for (std::int32_t row = rows[expert]; row < rows[expert + 1]; ++row, ++arrival) {
        place_of_[static_cast<std::size_t>(arrival)] = static_cast<std::int32_t>(arrival_of_.size());
        arrival_of_.push_back(static_cast<std::int32_t>(arrival));
      }
    }
    offsets_[static_cast<std::size_t>(expert) + 1] = static_cast<std::int32_t>(arrival_of_.size());
  }
}

}  // namespace caravan::all_to_all

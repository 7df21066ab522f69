#include "jobs/plan/tensor_rows.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::jobs {

void check_tensor_rows(const BatchShape& shape, const BatchShare& share, const std::string& key) {
  for (int rank = 0; rank < share.context_ranks; ++rank) {
    BatchShape of_rank = shape;
    BatchShare share_of_rank = share;
    share_of_rank.context_rank = rank;
    of_rank.length = share_of_rank.token_map(0, shape.sequence_length()).length();
    const std::int64_t last = of_rank.tensor_ranks - 1;
    CARAVAN_CHECK(
        last * of_rank.block_rows() < of_rank.tokens(), ConfigError,
        fmt::format("{}={} with {} tokens in a micro-batch (each rank has {} of their rows between layers, "
                    "and the last would have none). {}={}?",
                    key, of_rank.tensor_ranks, of_rank.tokens(), of_rank.block_rows(), key,
                    (of_rank.tokens() + of_rank.block_rows() - 1) / of_rank.block_rows()));
  }
}

}  // namespace caravan::jobs

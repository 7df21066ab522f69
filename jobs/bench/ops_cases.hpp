#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "caravan/ops.hpp"
#include "jobs/bench/ops_memory.hpp"

namespace caravan::jobs {

/// The model whose operators are measured. The defaults are those of debugmodel.
struct OpsShape {
  std::int64_t batch = 2, sequence = 2048;
  std::int64_t width = 256, heads = 16, kv_heads = 16, head_dim = 16;
  std::int64_t experts = 8, top_k = 1, hidden = 768, vocabulary = 2048;
  std::int64_t chunk = 0;
  std::int64_t context = 1;       ///< ranks that have blocks of each sequence
  std::int64_t context_rank = 0;  ///< that of them which is measured

  std::int64_t tokens() const { return batch * sequence; }
  std::int64_t routed() const { return tokens() * top_k; }
};

/// One operator ready to run, with what it has to move and to compute at least.
struct OpCase {
  double bytes = 0;  ///< operands read once plus results written once; what is added to counts twice
  double flops = 0;  ///< 2 a multiply-add of products; causal attention at half; 0 where data only streams by
  std::function<void(Ops&)> run;
};

/// "operator" or "operator/variant", and what makes its tensors.
struct NamedCase {
  const char* name;
  OpCase (*make)(BenchMemory& memory, const OpsShape& shape);
};

const std::vector<NamedCase>& linear_cases();
const std::vector<NamedCase>& attention_cases();
/// With several context ranks: attention of one of them, as "operator/context".
const std::vector<NamedCase>& context_cases();
const std::vector<NamedCase>& expert_cases();
const std::vector<NamedCase>& elementwise_cases();
const std::vector<NamedCase>& loss_cases();

}  // namespace caravan::jobs

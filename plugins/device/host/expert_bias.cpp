#include <algorithm>
#include <cmath>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {

/// In f32, step by step, without contraction: the bias decides ties between experts, so it must equal the
/// reference's to the bit.
void HostOps::expert_bias_update(const ExpertBiasUpdate& args) {
  const Call call("expert_bias_update");
  float* counts = call.vector("counts", args.counts, kAny);
  const std::int64_t experts = args.counts.extent(0);
  float* bias = call.vector("bias", args.bias, experts);
  const float* proceed = call.optional_vector("proceed", args.proceed, 1);

  double total = 0;
  for (std::int64_t e = 0; e < experts; ++e) total += counts[e];
  const double mean_count = total / static_cast<double>(experts);
  const auto delta = [&](std::int64_t e) {
    return args.rate * static_cast<float>((mean_count > counts[e]) - (mean_count < counts[e]));
  };
  float mean_delta = 0;
  for (std::int64_t e = 0; args.centre && e < experts; ++e) mean_delta += delta(e);
  mean_delta /= static_cast<float>(experts);
  const bool proceeds = !proceed || !std::isnan(*proceed);
  for (std::int64_t e = 0; proceeds && e < experts; ++e) bias[e] += delta(e) - mean_delta;
  std::fill_n(counts, experts, 0.0f);
}

}  // namespace caravan::host

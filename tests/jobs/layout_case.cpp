#include "tests/jobs/layout_case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/support/test_device.hpp"

namespace caravan::jobs {

std::string LayoutCase::text() const {
  return fmt::format("tensor {} context {} shards {} expert {} pipeline {} {} {}", tensor, context, shards,
                     expert, pipeline, schedule, fmt::join(keys, " "));
}

std::string ModelCase::text() const {
  return fmt::format("{}", fmt::join(keys, " "));
}

std::vector<ModelCase> all_models(const std::vector<std::vector<Keys>>& factors) {
  std::vector<ModelCase> all{{}};
  for (const auto& factor : factors) {
    std::vector<ModelCase> more;
    for (const ModelCase& model : all) {
      for (const Keys& keys : factor) {
        more.push_back(model);
        more.back().keys.insert(more.back().keys.end(), keys.begin(), keys.end());
      }
    }
    all = std::move(more);
  }
  return all;
}

Job job_of(const LayoutCase& layout, const ModelCase& model, int ranks, int sequences) {
  Config tree = Config::parse(R"(
seed: 5
model: {plugin: llama4, vocab_size: 193, dim: 24, layers: 4, heads: 8, head_dim: 4, kv_heads: 2, width_multiple_of: 6,
        init_std: 0.1}
data: {source: synthetic, vocab_size: 193}
train: {steps: 100, lr: 3e-3, warmup_steps: 3}
checkpoint: {enabled: false}
)");
  const int replicas = ranks / layout.ranks();
  Keys keys{fmt::format("train.global_batch_size={}", sequences),
            fmt::format("parallel.tensor={}", layout.tensor),
            fmt::format("parallel.context={}", layout.context),
            fmt::format("parallel.data_shard={}", layout.shards),
            fmt::format("parallel.expert={}", layout.expert),
            fmt::format("parallel.pipeline={}", layout.pipeline),
            "parallel.schedule=" + layout.schedule};
  if (layout.pipeline > 1)
    keys.push_back(fmt::format("parallel.microbatches={}", sequences / (replicas * layout.shards)));
  keys.insert(keys.end(), model.keys.begin(), model.keys.end());
  keys.insert(keys.end(), layout.keys.begin(), layout.keys.end());
  for (const std::string& key : test::keys_of_test_device()) tree.override_with(key);
  for (const std::string& key : keys) tree.override_with(key);
  return resolve_job(std::move(tree));
}

}  // namespace caravan::jobs

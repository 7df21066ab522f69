#include "jobs/state/merged_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/low_rank.hpp"
#include "io/files/convert.hpp"
#include "io/hf/checkpoint_source.hpp"

namespace caravan::jobs {
namespace {

/// A block of a tensor in fp32.
struct StoredBlock {
  StoredBlock(const io::WeightSource& source, const std::string& name, const Origin& origin,
              const Shape& shape, int threads)
      : values(static_cast<std::size_t>(shape.count())), view(values.data(), DType::f32, shape) {
    source.read_block(name, origin, view, threads);
  }
  std::vector<float> values;
  TensorView view;
};

/// w += s·b·a of one matrix: w [N, M], b [N, r], a [r, M], all without gaps.
void add_product(std::span<float> w, std::span<const float> b, std::span<const float> a, std::int64_t rank,
                 double scale) {
  const auto ranks = static_cast<std::size_t>(rank), width = a.size() / ranks;
  std::vector<double> row(width);
  for (std::size_t n = 0; n < w.size() / std::max<std::size_t>(width, 1); ++n) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t k = 0; k < ranks; ++k) {
      const double factor = scale * static_cast<double>(b[n * ranks + k]);
      for (std::size_t m = 0; m < width; ++m) row[m] += factor * static_cast<double>(a[k * width + m]);
    }
    for (std::size_t m = 0; m < width; ++m) {
      float& value = w[n * width + m];
      value = static_cast<float>(static_cast<double>(value) + row[m]);
    }
  }
}

}  // namespace

std::vector<std::string> MergedSource::names() const {
  std::vector<std::string> names = inner_->names();
  std::erase_if(names, [](const std::string& name) { return is_adapter(name); });
  return names;
}

bool MergedSource::has(const std::string& name) const {
  return !is_adapter(name) && inner_->has(name);
}

void MergedSource::read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                               int threads) const {
  const std::string a_name = adapter_name(name, "a"), b_name = adapter_name(name, "b");
  if (!inner_->has(a_name)) return inner_->read_block(name, origin, to, threads);
  const int inputs = to.shape.rank() - 1, outputs = inputs - 1;
  const std::int64_t rank = inner_->shape(a_name)[outputs];
  const auto of = [&](int axis) {
    std::pair<Origin, Shape> block{origin, to.shape};
    block.first[static_cast<std::size_t>(axis)] = 0;
    block.second.set(axis, rank);
    return block;
  };
  const auto [a_origin, a_shape] = of(outputs);
  const auto [b_origin, b_shape] = of(inputs);
  StoredBlock w(*inner_, name, origin, to.shape, threads);
  const StoredBlock a(*inner_, a_name, a_origin, a_shape, 1), b(*inner_, b_name, b_origin, b_shape, 1);
  const auto matrices = static_cast<std::size_t>(outputs > 0 ? to.shape[0] : 1);
  const auto part = [&](auto& values, std::size_t index) {
    const std::size_t size = values.size() / matrices;
    return std::span(values).subspan(index * size, size);
  };
  for (std::size_t each = 0; each < matrices; ++each)
    add_product(part(w.values, each), part(b.values, each), part(a.values, each), rank, scale_);
  io::copy_elements(w.view, to);
}

const io::CheckpointReader* reader_of(const io::WeightSource& weights) {
  const auto* merged = dynamic_cast<const MergedSource*>(&weights);
  const auto* ours = dynamic_cast<const io::CheckpointSource*>(merged ? &merged->inner() : &weights);
  return ours ? &ours->reader() : nullptr;
}

bool has_adapters(const io::WeightSource& weights) {
  const std::vector<std::string> names = weights.names();
  return std::any_of(names.begin(), names.end(), [](const std::string& name) { return is_adapter(name); });
}

std::unique_ptr<io::WeightSource> merge_adapters(std::unique_ptr<io::WeightSource> weights, Config& model) {
  const std::optional<LowRankRule> rule = read_low_rank(model.find("lora"));
  model.erase("lora");
  if (!has_adapters(*weights)) return weights;
  CARAVAN_CHECK(
      rule, IoError,
      fmt::format("{} holds adapters, and its job has no model.lora (nothing says their scale). The "
                  "run's own checkpoint?",
                  weights->description()));
  log_info(fmt::format("{}: adapters of rank {} are merged into the weights (W + {:g}·B·A)",
                       weights->description(), rule->rank, rule->scale));
  return std::make_unique<MergedSource>(std::move(weights), rule->scale);
}

std::string without_adapters(const std::string& job_yaml) {
  Config job = Config::parse(job_yaml, "job");
  if (!job.has("model") || job.at("model").kind() != Config::Kind::map || !job.at("model").has("lora"))
    return job_yaml;
  Config model = job.at("model");
  model.erase("lora");
  job.set("model", std::move(model));
  return job.to_yaml();
}

}  // namespace caravan::jobs

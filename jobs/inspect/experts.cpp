#include "jobs/inspect/experts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "io/checkpoint/parameter_counts.hpp"
#include "jobs/inspect/layer_norms.hpp"
#include "jobs/inspect/layout_names.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/value_stream.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBias = ".expert_bias";
constexpr std::string_view kWeights = ".experts.";

/// By the name of the block: "layers.1.moe".
struct Gathered {
  std::map<std::string, std::vector<double>> biases;
  std::map<std::string, std::vector<NormSum>> weights;
};

void add_bias(Gathered& gathered, const TensorSource& source, const TensorEntry& tensor) {
  const std::string_view name = leaf_of(tensor.name);
  std::vector<double>& bias = gathered.biases[std::string(name.substr(0, name.size() - kBias.size()))];
  ValueStream(source).for_each_value(tensor, whole_of(tensor),
                                     [&](std::span<const double> values, std::uint64_t) {
                                       bias.insert(bias.end(), values.begin(), values.end());
                                     });
}

/// [experts, …]: a sum for each slice of the first axis.
void add_weights(Gathered& gathered, const TensorSource& source, const TensorEntry& tensor) {
  const std::string_view name = leaf_of(tensor.name);
  std::vector<NormSum>& sums = gathered.weights[std::string(name.substr(0, name.find(kWeights)))];
  const Box whole = whole_of(tensor);
  sums.resize(std::max(sums.size(), static_cast<std::size_t>(whole.extents[0])));
  ValueStream stream(source);
  for (std::int64_t expert = 0; expert < whole.extents[0]; ++expert) {
    Box slice = whole;
    slice.origin[0] = expert;
    slice.extents.set(0, 1);
    StatisticsSum sum;
    stream.for_each_value(
        tensor, slice, [&](std::span<const double> values, std::uint64_t first) { sum.add(values, first); });
    sums[static_cast<std::size_t>(expert)].add(sum.result());
  }
}

bool is_weights(const TensorEntry& tensor) {
  const bool is_models = tensor.name.starts_with(kModelRoot);
  return is_models && tensor.extents.size() > 1 &&
         io::kind_of_name(leaf_of(tensor.name)) == ParameterKind::expert;
}

Gathered gather(const Subject& subject) {
  Gathered gathered;
  ProgressLine progress;
  for (const TensorEntry& tensor : subject.tensors()) {
    const bool is_bias = tensor.name.starts_with(kStateRoot) && tensor.name.ends_with(kBias);
    if (!is_bias && !is_weights(tensor)) continue;
    progress.show(printable(tensor.name));
    is_bias ? add_bias(gathered, *subject.source, tensor) : add_weights(gathered, *subject.source, tensor);
  }
  return gathered;
}

/// <run>/metrics.jsonl of <run>/checkpoints/step-….
std::string metrics_file_of(const std::string& checkpoint) {
  return (fs::absolute(checkpoint).lexically_normal() / ".." / ".." / "metrics.jsonl")
      .lexically_normal()
      .string();
}

RecordedRouting routing_of(const Subject& subject, std::string& counts_from) {
  const auto* reader = subject.checkpoint();
  if (!reader) {
    counts_from = "no checkpoint of caravan, so no run whose metrics could tell";
    return {};
  }
  const std::string path = metrics_file_of(reader->folder());
  const auto routing = read_routing(path, reader->step());
  if (!routing)
    counts_from = fmt::format("{} has no step {}", path, reader->step());
  else if (routing->counts.empty())
    counts_from =
        fmt::format("step {} of {} has none (metrics.expert_counts writes them)", reader->step(), path);
  else
    counts_from = fmt::format("step {} of {}", reader->step(), path);
  return routing.value_or(RecordedRouting{});
}

ExpertLayer& layer_named(std::map<std::int64_t, ExpertLayer>& layers, const std::string& name) {
  ExpertLayer& layer = layers[layer_of(name).value_or(-1)];
  layer.layer = layer_of(name).value_or(-1);
  layer.name = name;
  return layer;
}

/// Of the experts that the checkpoint has.
std::vector<double> tokens_of(const std::map<std::size_t, double>& recorded, std::size_t experts) {
  std::vector<double> tokens(experts);
  for (const auto& [expert, count] : recorded)
    if (expert < experts) tokens[expert] = count;
  return tokens;
}

}  // namespace

std::size_t ExpertLayer::experts() const {
  return std::max({bias.size(), rms.size(), tokens.size()});
}

Balance balance_of(const std::vector<double>& tokens) {
  StatisticsSum sum;
  sum.add(tokens, 0);
  const Statistics& s = sum.result();
  Balance balance;
  balance.idle = static_cast<std::size_t>(s.zeros);
  if (!(s.mean > 0)) return balance;
  balance.least = s.min / s.mean;
  balance.most = s.max / s.mean;
  balance.variation = s.deviation() / s.mean;
  return balance;
}

Experts experts_of(const Subject& subject) {
  const Gathered gathered = gather(subject);
  std::map<std::int64_t, ExpertLayer> layers;
  for (const auto& [name, bias] : gathered.biases) layer_named(layers, name).bias = bias;
  for (const auto& [name, sums] : gathered.weights) {
    std::vector<double>& rms = layer_named(layers, name).rms;
    for (const NormSum& sum : sums) rms.push_back(sum.rms());
  }
  Experts experts;
  const RecordedRouting routing = routing_of(subject, experts.counts_from);
  experts.rank_rows = routing.rank_rows;
  experts.dropped = routing.dropped;
  for (const auto& [name, tokens] : routing.counts) {
    const auto found = layers.find(layer_of(name + ".").value_or(-1));
    if (found != layers.end()) found->second.tokens = tokens_of(tokens, found->second.experts());
  }
  for (auto& [number, layer] : layers) experts.layers.push_back(std::move(layer));
  return experts;
}

}  // namespace caravan::jobs

#include "io/metrics/components.hpp"

#include <array>
#include <memory>

#include "caravan/metrics.hpp"
#include "caravan/plugin.hpp"
#include "io/metrics/csv_sink.hpp"
#include "io/metrics/json_lines_sink.hpp"
#include "io/metrics/tensorboard_sink.hpp"

namespace caravan::io {
namespace {

class JsonLinesMetrics final : public Metrics {
 public:
  using Interface = Metrics;
  static constexpr const char* kName = "jsonl";
  static constexpr const char* kSummary = "metrics.jsonl, an object a step; texts in samples.jsonl.";
  static constexpr std::array<caravan_param, 0> kParams{};

  JsonLinesMetrics(const Host&, const Config&) {}
  std::unique_ptr<MetricSink> open(const MetricsRun& run) override {
    return std::make_unique<JsonLinesSink>(run.folder + "/metrics.jsonl", run.first_step);
  }
};

class TensorBoardMetrics final : public Metrics {
 public:
  using Interface = Metrics;
  static constexpr const char* kName = "tensorboard";
  static constexpr const char* kSummary = "TensorBoard's event files in tensorboard/: scalars, and texts.";
  static constexpr std::array<caravan_param, 0> kParams{};

  TensorBoardMetrics(const Host&, const Config&) {}
  std::unique_ptr<MetricSink> open(const MetricsRun& run) override {
    return std::make_unique<TensorBoardSink>(run.folder + "/tensorboard", run.first_step);
  }
};

class CsvMetrics final : public Metrics {
 public:
  using Interface = Metrics;
  static constexpr const char* kName = "csv";
  static constexpr const char* kSummary = "metrics.csv, a row a step and a column a key; no texts.";
  static constexpr std::array<caravan_param, 0> kParams{};

  CsvMetrics(const Host&, const Config&) {}
  std::unique_ptr<MetricSink> open(const MetricsRun& run) override {
    return std::make_unique<CsvSink>(run.folder + "/metrics.csv", run.first_step);
  }
};

}  // namespace

std::span<const caravan_component> metrics_components() {
  static constexpr caravan_component components[] = {
      component<JsonLinesMetrics>(), component<TensorBoardMetrics>(), component<CsvMetrics>()};
  return components;
}

}  // namespace caravan::io

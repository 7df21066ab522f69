#include <memory>
#include <stdexcept>
#include <string>

#include "caravan/check.hpp"
#include "caravan/metrics.hpp"
#include "caravan/plugin.hpp"

namespace caravan::testing {

class FailingSink final : public MetricSink {
 public:
  explicit FailingSink(std::string when) : when_(std::move(when)) {}
  void write(const StepRecord& record) override {
    if (when_ == "write" && record.step % 2 == 0) throw std::runtime_error("the server is gone");
    if (when_ == "number") throw 42;
  }
  void flush() override {
    if (when_ == "flush") throw IoError("nothing is handed on");
  }

 private:
  std::string when_;
};

/// Metrics that fail where the job says.
class FailingMetrics final : public Metrics {
 public:
  using Interface = Metrics;
  static constexpr const char* kName = "failing";
  static constexpr const char* kSummary = "Fails on purpose";
  static constexpr caravan_param kParams[] = {
      {"when", "make|open|write|number|flush", "write", "", "", "When it throws."}};

  FailingMetrics(const Host&, const Config& config) : when_(config.get_string("when")) {
    CARAVAN_CHECK(when_ != "make", ConfigError, "no such server");
  }
  std::unique_ptr<MetricSink> open(const MetricsRun&) override {
    if (when_ == "open") throw std::runtime_error("the server does not answer");
    return std::make_unique<FailingSink>(when_);
  }

 private:
  std::string when_;
};

}  // namespace caravan::testing

CARAVAN_PLUGIN("failing-metrics", "1.0.0", "Apache-2.0", "Fails on purpose",
               caravan::component<caravan::testing::FailingMetrics>());

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "caravan/check.hpp"

namespace caravan {

/// Keys of `metrics.jsonl` that stay the same for ever; units are in the names.
namespace metric {
inline constexpr std::string_view kLoss = "loss";
inline constexpr std::string_view kValidationLoss = "validation_loss";
inline constexpr std::string_view kGradNorm = "grad_norm";
inline constexpr std::string_view kLearningRate = "learning_rate";
inline constexpr std::string_view kStepSeconds = "step_s";
inline constexpr std::string_view kTokensPerSecond = "tokens_per_s";  ///< of all ranks together
inline constexpr std::string_view kTflopPerSecond = "tflop_per_s";    ///< of all ranks together
inline constexpr std::string_view kMfuPercent = "mfu_percent";  ///< only where the device's peak is known
inline constexpr std::string_view kPeakMemoryBytes = "peak_memory_bytes";  ///< of the rank with the most
inline constexpr std::string_view kTokensSeen = "tokens_seen";
}  // namespace metric

using MetricValue = std::variant<std::int64_t, double>;

/// What one step reports, in the order in which it was set. Reused from step to step, it allocates nothing
/// after the first.
class StepRecord {
 public:
  std::int64_t step = 0;

  /// Keys are lower case, digits and `_ . /`.
  void set(std::string_view key, MetricValue value) {
    CARAVAN_EXPECT(!key.empty() &&
                   key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_./") == key.npos);
    for (auto& [known, old] : values_) {
      if (known == key) {
        old = value;
        return;
      }
    }
    values_.emplace_back(key, value);
  }
  /// Null when the step did not report it.
  const MetricValue* find(std::string_view key) const {
    for (const auto& [known, value] : values_) {
      if (known == key) return &value;
    }
    return nullptr;
  }
  const std::vector<std::pair<std::string, MetricValue>>& values() const noexcept { return values_; }
  void clear() noexcept { values_.clear(); }

 private:
  std::vector<std::pair<std::string, MetricValue>> values_;
};

/// Where step records go. On rank 0 only. `write` never throws for a full disk: metrics are not worth a run.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void write(const StepRecord& record) = 0;
};

}  // namespace caravan

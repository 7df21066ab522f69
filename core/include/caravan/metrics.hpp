#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
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
inline constexpr std::string_view kDroppedRows = "dropped_rows";  ///< choices beyond the capacity of experts
inline constexpr std::string_view kDroppedShare = "dropped_share";       ///< of all choices of experts
inline constexpr std::string_view kExpertRowsSent = "expert_rows_sent";  ///< by that rank, to itself included
inline constexpr std::string_view kExpertRowsReceivedMost = "expert_rows_received_most";
inline constexpr std::string_view kExpertRankImbalance =
    "expert_rank_imbalance";  ///< the latter by even routing's
inline constexpr std::string_view kGradNorm = "grad_norm";
inline constexpr std::string_view kLearningRate = "learning_rate";
inline constexpr std::string_view kStepSeconds = "step_s";
inline constexpr std::string_view kTokensPerSecond = "tokens_per_s";  ///< of all ranks together
inline constexpr std::string_view kTflopPerSecond = "tflop_per_s";    ///< of all ranks together
inline constexpr std::string_view kMfuPercent = "mfu_percent";  ///< only where the device's peak is known
inline constexpr std::string_view kPeakMemoryBytes = "peak_memory_bytes";  ///< of the rank with the most
inline constexpr std::string_view kTokensSeen = "tokens_seen";
inline constexpr std::string_view kDataPasses = "data_passes";  ///< of a mix: over the part seen most often
}  // namespace metric

using MetricValue = std::variant<std::int64_t, double>;

/// What one step reports, in the order in which it was set. Reused for the next step after `clear`, it
/// allocates nothing, and a key that comes in the same order as before costs one comparison.
class StepRecord {
 public:
  using Entry = std::pair<std::string, MetricValue>;
  std::int64_t step = 0;

  /// Keys are lower case, digits and `_ . /`; a key that was set already keeps its place.
  void set(std::string_view key, MetricValue value) {
    CARAVAN_EXPECT(!key.empty() &&
                   key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_./") == key.npos);
    const std::size_t index = index_of(key);
    if (index == entries_.size()) entries_.emplace_back(key, value);
    entries_[index].second = value;
    if (index >= used_) std::swap(entries_[index], entries_[used_++]);
  }
  /// Null when the step did not report it.
  const MetricValue* find(std::string_view key) const {
    for (const Entry& entry : values()) {
      if (entry.first == key) return &entry.second;
    }
    return nullptr;
  }
  std::span<const Entry> values() const noexcept { return {entries_.data(), used_}; }
  void clear() noexcept { used_ = 0; }

 private:
  std::size_t index_of(std::string_view key) const {
    if (used_ < entries_.size() && entries_[used_].first == key) return used_;
    std::size_t index = 0;
    while (index < entries_.size() && entries_[index].first != key) ++index;
    return index;
  }

  std::vector<Entry> entries_;  ///< keys once each: first those of this step, then those of earlier ones
  std::size_t used_ = 0;
};

/// Where step records go. On rank 0 only. `write` never throws for a full disk: metrics are not worth a run.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void write(const StepRecord& record) = 0;
};

}  // namespace caravan

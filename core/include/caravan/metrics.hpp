#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
inline constexpr std::string_view kExpertImbalance =
    "expert_imbalance";  ///< rows of the busiest expert by its part of an even division, in the worst layer
inline constexpr std::string_view kBalanceLoss = "balance_loss";  ///< coefficient included
inline constexpr std::string_view kGradNorm = "grad_norm";
inline constexpr std::string_view kMaxLogit = "max_logit";  ///< of attention, where the optimizer clips them
inline constexpr std::string_view kLearningRate = "learning_rate";
inline constexpr std::string_view kStepSeconds = "step_s";
inline constexpr std::string_view kDataSeconds = "data_s";            ///< of it: waiting for data
inline constexpr std::string_view kElapsedSeconds = "elapsed_s";      ///< since this start's first step began
inline constexpr std::string_view kTokensPerSecond = "tokens_per_s";  ///< of all ranks together
inline constexpr std::string_view kTflopPerSecond = "tflop_per_s";    ///< of all ranks together
inline constexpr std::string_view kMfuPercent = "mfu_percent";  ///< only where the device's peak is known
inline constexpr std::string_view kPeakMemoryBytes =
    "peak_memory_bytes";  ///< where tensors are, of the rank with the most
inline constexpr std::string_view kHostPeakMemoryBytes =
    "host_peak_memory_bytes";                                     ///< of the process with the most
inline constexpr std::string_view kValidTokens = "valid_tokens";  ///< labels of the step that count
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

/// A text that a run wrote: what a model in training makes of a prompt. Borrowed for the call.
struct TextRecord {
  std::int64_t step = 0;
  std::string_view name;    ///< lower case, digits and `_ . /`: "samples/0"
  std::string_view prompt;  ///< UTF-8, as the job gives it
  std::string_view text;    ///< UTF-8, what follows
  std::int64_t tokens = 0;  ///< that the text is of
  std::string_view reason;  ///< why it ends: "eos", "length"
};

/// What a sink is told of the run that it records.
struct MetricsRun {
  std::string name;
  std::string folder;  ///< of the run's files; it exists, and a sink writes nowhere else
  std::string job;     ///< resolved, as YAML
  std::int64_t first_step =
      1;  ///< the next record's at least: what earlier starts wrote of it and later ones is done again
  std::int64_t last_step = 1;  ///< of the whole run
};

/// Records of one start of a run, on rank 0, in the order of their steps; its destructor closes. `write`
/// never throws for a full disk: metrics are not worth a run. Whatever else it throws is a warning, the first
/// time, and costs the record. [one thread]
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void write(const StepRecord& record) = 0;
  /// Whether it has a place for texts; without one it is given none.
  virtual bool takes_texts() const { return false; }
  virtual void write_text(const TextRecord&) {}
  /// Hands on what is held back. Called before each checkpoint and at the end.
  virtual void flush() {}
};

/// A way to record runs. Plugin kind "metrics". The constructor touches no file: a dry run makes one too. The
/// keys `name` and `every` are the trainer's.
class Metrics {
 public:
  static constexpr const char* kKind = "metrics";
  static constexpr std::uint32_t kKindVersion = 1;
  virtual ~Metrics() = default;
  /// [rank 0, once a start] IoError where it cannot be recorded: the run then does not begin.
  virtual std::unique_ptr<MetricSink> open(const MetricsRun& run) = 0;
};

}  // namespace caravan

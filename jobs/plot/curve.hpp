#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace caravan::jobs {

/// What is read of each step of a run.
enum class Curve {
  loss,
  validation_loss,
  learning_rate,
  grad_norm,
  tokens_per_second,
  expert_imbalance,  ///< tokens of the busiest expert by those of an even division, in the worst layer
  rank_imbalance,    ///< the same of ranks that divide experts, which runs without counts of experts record
};
inline constexpr std::size_t kNumCurves = 7;

struct CurveText {
  const char* word;    ///< of --what; empty: drawn in the place of another
  const char* key;     ///< of metrics.jsonl, where it is one; of tables
  const char* title;   ///< of a panel
  const char* unit;    ///< may be empty
  const char* remedy;  ///< how a run gets it
};
const CurveText& text_of(Curve curve);

/// Curves that words of --what name, in their order, each once. ConfigError for a word that is none.
std::vector<Curve> curves_of(const std::vector<std::string>& words);

/// One line of metrics.jsonl.
struct StepValues {
  /// Not recorded in this step.
  static constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
  /// Recorded as null: it was not finite.
  static constexpr double kNotFinite = std::numeric_limits<double>::infinity();

  std::int64_t step = 0;
  std::array<double, kNumCurves> values;

  double at(Curve curve) const { return values[static_cast<std::size_t>(curve)]; }
  double& at(Curve curve) { return values[static_cast<std::size_t>(curve)]; }
};

}  // namespace caravan::jobs

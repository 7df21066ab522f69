#include "jobs/plot/curve.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/config.hpp"

namespace caravan::jobs {
namespace {

constexpr std::array<CurveText, kNumCurves> kTexts = {{
    {"loss", "loss", "loss", "nats a token", "every step records it"},
    {"validation", "validation_loss", "validation loss", "nats a token", "validation.every"},
    {"lr", "learning_rate", "learning rate", "", "every step records it"},
    {"norm", "grad_norm", "gradient norm", "", "every step records it"},
    {"tokens", "tokens_per_s", "tokens a second", "all ranks together", "every step records it"},
    {"balance", "expert_imbalance", "expert balance", "busiest expert by an even division, worst layer",
     "a model with experts records it"},
    {"", "expert_rank_imbalance", "expert balance", "busiest rank by an even division",
     "metrics.expert_counts"},
}};

std::vector<std::string> known_words() {
  std::vector<std::string> words;
  for (const CurveText& text : kTexts) {
    if (*text.word) words.emplace_back(text.word);
  }
  return words;
}

Curve curve_of(const std::string& word) {
  const std::vector<std::string> words = known_words();
  const auto found = std::find(words.begin(), words.end(), word);
  if (found != words.end()) return static_cast<Curve>(found - words.begin());
  const std::string near = nearest_name(word, words);
  throw ConfigError(
      fmt::format("--what {} (known: {}). {}", word, fmt::join(words, ", "),
                  near.empty() ? "One or more of them?" : fmt::format("Did you mean {}?", near)));
}

}  // namespace

const CurveText& text_of(Curve curve) {
  return kTexts[static_cast<std::size_t>(curve)];
}

std::vector<Curve> curves_of(const std::vector<std::string>& words) {
  std::vector<Curve> curves;
  for (const std::string& word : words) {
    const Curve curve = curve_of(word);
    if (std::find(curves.begin(), curves.end(), curve) == curves.end()) curves.push_back(curve);
  }
  return curves;
}

}  // namespace caravan::jobs

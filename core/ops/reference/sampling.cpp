#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "caravan/random.hpp"
#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

/// Logit, later probability, and token; likeliest first.
using Candidate = std::pair<double, std::int32_t>;
using Candidates = std::vector<Candidate>;

bool likelier(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

/// What one slot's rules say.
struct Rule {
  double temperature, top_p, min_p, repetition;
  std::int64_t top_k, seed;
};

struct Rules {
  Vector<double> temperature, top_p, min_p, repetition;
  Vector<std::int32_t> top_k;
  Vector<std::int64_t> seed;

  Rules(const Call& call, const SamplingRules& rules, std::int64_t slots)
      : temperature(call.vector<double>("temperature", rules.temperature, slots)),
        top_p(call.vector<double>("top_p", rules.top_p, slots)),
        min_p(call.vector<double>("min_p", rules.min_p, slots)),
        repetition(call.vector<double>("repetition", rules.repetition, slots)),
        top_k(call.vector<std::int32_t>("top_k", rules.top_k, slots)),
        seed(call.vector<std::int64_t>("seed", rules.seed, slots)) {}
  Rule of(std::int64_t slot) const {
    return {temperature(slot), top_p(slot), min_p(slot), repetition(slot), top_k(slot), seed(slot)};
  }
};

void keep_top_k(Candidates& candidates, std::int64_t top_k) {
  const auto wanted = static_cast<std::size_t>(top_k);
  const std::size_t kept = wanted == 0 ? candidates.size() : std::min(wanted, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates.end(), likelier);
  candidates.resize(kept);
}

/// Differences are divided by the temperature, not logits: however small it is, the likeliest has 0 / it.
void softmax(Candidates& candidates, double temperature) {
  const double highest = candidates.front().first;
  double total = 0;
  for (Candidate& candidate : candidates)
    total += candidate.first = std::exp((candidate.first - highest) / temperature);
  for (Candidate& candidate : candidates) candidate.first /= total;
}

/// Keeps tokens until their probabilities reach top_p; the likeliest always stays.
void keep_top_p(Candidates& candidates, double top_p) {
  double before = 0;
  std::size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || before < top_p)) before += candidates[kept++].first;
  candidates.resize(kept);
}

void keep_min_p(Candidates& candidates, double min_p) {
  const double least = min_p * candidates.front().first;
  while (candidates.back().first < least) candidates.pop_back();
}

std::int32_t draw(const Candidates& candidates, const Rule& rule, std::int64_t drawn) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.first;
  const RandomKey key{static_cast<std::uint64_t>(rule.seed), hash_name("sampler")};
  double left = total * uniform(key, 0, static_cast<std::uint64_t>(drawn));
  for (const Candidate& candidate : candidates) {
    left -= candidate.first;
    if (left <= 0) return candidate.second;
  }
  return candidates.back().second;
}

std::int32_t choose(Candidates candidates, const Rule& rule, std::int64_t drawn) {
  if (rule.temperature == 0) return std::min_element(candidates.begin(), candidates.end(), likelier)->second;
  keep_top_k(candidates, rule.top_k);
  softmax(candidates, rule.temperature);
  keep_top_p(candidates, rule.top_p);
  keep_min_p(candidates, rule.min_p);
  return draw(candidates, rule, drawn);
}

/// Of one row of logits.
class LogitRow {
 public:
  LogitRow(const Matrix<float>& logits, std::int64_t row) : logits_(logits), row_(row) {}
  bool is_finite() const {
    for (std::int64_t v = 0; v < logits_.extent(1); ++v)
      if (!std::isfinite(logits_(row_, v))) return false;
    return true;
  }
  double log_prob(std::int32_t token) const {
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t v = 0; v < logits_.extent(1); ++v)
      largest = std::max(largest, double{logits_(row_, v)});
    const double total =
        sum(logits_.extent(1), [&](std::int64_t v) { return std::exp(logits_(row_, v) - largest); });
    return logits_(row_, token) - largest - std::log(total);
  }
  /// Tokens that a bias forbids are none.
  Candidates candidates(const SampleTokens& args, const Rule& rule, const Vector<float>& bias,
                        const std::uint8_t* seen) const {
    Candidates all;
    for (std::int64_t v = 0; v < args.drawable; ++v) {
      double logit = double{logits_(row_, v)} + (bias ? double{bias(v)} : 0.0);
      if (seen && seen[v]) logit = logit > 0 ? logit / rule.repetition : logit * rule.repetition;
      if (logit > -std::numeric_limits<double>::infinity())
        all.emplace_back(logit, static_cast<std::int32_t>(v));
    }
    return all;
  }

 private:
  const Matrix<float>& logits_;
  std::int64_t row_;
};

}  // namespace

void ReferenceOps::sample_tokens(const SampleTokens& args) {
  const Call call("sample_tokens");
  const auto logits = call.f32_matrix("logits", args.logits, kAny, kAny);
  const std::int64_t rows = logits.extent(0), vocabulary = logits.extent(1);
  const auto slots = call.vector<std::int32_t>("slots", args.slots, rows);
  const auto drawn = call.vector<std::int32_t>("drawn", args.drawn, kAny);
  const Rules rules(call, args.rules, drawn.extent(0));
  const auto bias = call.optional_f32_vector("bias", args.bias, vocabulary);
  const auto seen = args.seen.empty()
                        ? Matrix<std::uint8_t>{}
                        : call.matrix<std::uint8_t>("seen", args.seen, drawn.extent(0), vocabulary);
  const auto tokens = call.vector<std::int32_t>("tokens", args.tokens, rows);
  const auto log_prob = call.optional_f32_vector("log_prob", args.log_prob, rows);
  if (args.drawable < 1 || args.drawable > vocabulary)
    call.fail(fmt::format("{} tokens may be drawn (of {})", args.drawable, vocabulary));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t slot = slots(r);
    if (slot < 0) continue;
    if (slot >= drawn.extent(0))
      call.fail(fmt::format("slots[{}] is {} (there are {})", r, slot, drawn.extent(0)));
    const LogitRow row(logits, r);
    const Rule rule = rules.of(slot);
    const Candidates candidates = row.candidates(args, rule, bias, seen ? &seen(slot, 0) : nullptr);
    tokens(r) = candidates.empty() || !row.is_finite() ? kNotDrawn : choose(candidates, rule, drawn(slot));
    if (tokens(r) == kNotDrawn) continue;
    ++drawn(slot);
    if (seen) seen(slot, tokens(r)) = 1;
    if (log_prob) log_prob(r) = static_cast<float>(row.log_prob(tokens(r)));
  }
}

}  // namespace caravan

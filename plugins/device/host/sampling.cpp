#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/random.hpp"
#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

using Candidate = std::pair<double, std::int32_t>;  // logit, later probability, and token
using Candidates = std::vector<Candidate>;

constexpr double kForbidden = -std::numeric_limits<double>::infinity();

bool likelier(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

/// What one slot's rules say.
struct Rule {
  double temperature, top_p, min_p, repetition;
  std::int64_t top_k;
  RandomKey key;
};

/// One row of logits, and what changes them.
struct Row {
  const float *logits, *bias;
  const std::uint8_t* seen;
  std::int64_t vocabulary, drawable;
  double repetition;

  bool is_finite() const {
    float sum = 0;  // of differences that are 0, or not a number
    for (std::int64_t v = 0; v < vocabulary; ++v) sum += logits[v] - logits[v];
    return sum == 0;
  }
  double logit(std::int64_t v) const {
    const double logit = double{logits[v]} + (bias ? double{bias[v]} : 0.0);
    if (!seen || !seen[v]) return logit;
    return logit > 0 ? logit / repetition : logit * repetition;
  }
  std::int32_t likeliest() const {
    std::int64_t best = 0;
    for (std::int64_t v = 1; v < drawable; ++v)
      if (logit(v) > logit(best)) best = v;
    return logit(best) > kForbidden ? static_cast<std::int32_t>(best) : kNotDrawn;
  }
  float log_prob(std::int32_t token) const {
    const double largest = *std::max_element(logits, logits + vocabulary);
    double total = 0;
    for (std::int64_t v = 0; v < vocabulary; ++v) total += std::exp(logits[v] - largest);
    return static_cast<float>(logits[token] - largest - std::log(total));
  }
};

/// Candidates of which the first ones are in order, as many as have been asked for: mostly few decide.
class Ordered {
 public:
  explicit Ordered(Candidates& all) : all_(all) {}
  const Candidate& at(std::size_t index) {
    while (index >= ordered_) grow();
    return all_[index];
  }
  std::size_t size() const { return all_.size(); }

 private:
  void grow() {
    const std::size_t until = std::min(all_.size(), std::max<std::size_t>(64, 4 * ordered_));
    const auto begin = all_.begin() + static_cast<std::ptrdiff_t>(ordered_);
    std::partial_sort(begin, all_.begin() + static_cast<std::ptrdiff_t>(until), all_.end(), likelier);
    ordered_ = until;
  }

  Candidates& all_;
  std::size_t ordered_ = 0;
};

void collect(const Row& row, Candidates& all) {
  all.clear();
  for (std::int64_t v = 0; v < row.drawable; ++v) {
    const double logit = row.logit(v);
    if (logit > kForbidden) all.emplace_back(logit, static_cast<std::int32_t>(v));
  }
}

void keep_top_k(Candidates& all, std::int64_t top_k) {
  const auto kept = static_cast<std::size_t>(top_k);
  if (kept == 0 || kept >= all.size()) return;
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(), likelier);
  all.resize(kept);
}

void softmax(Candidates& all, double temperature) {
  const double highest = std::min_element(all.begin(), all.end(), likelier)->first;
  double total = 0;
  for (Candidate& each : all) total += each.first = std::exp((each.first - highest) / temperature);
  for (Candidate& each : all) each.first /= total;
}

/// How many of the first ones are kept by top_p and min_p, and what their probabilities add up to.
struct Kept {
  std::size_t count = 0;
  double total = 0;
};
Kept kept_of(Ordered& ordered, const Rule& rule) {
  Kept kept;
  if (rule.top_p >= 1 && rule.min_p == 0) return {ordered.size(), 1};
  const double least = rule.min_p * ordered.at(0).first;
  while (kept.count < ordered.size() && (kept.count == 0 || kept.total < rule.top_p)) {
    const double probability = ordered.at(kept.count).first;
    if (probability < least) break;
    kept.total += probability;
    ++kept.count;
  }
  return kept;
}

std::int32_t draw(const Row& row, const Rule& rule, std::int64_t drawn, Candidates& all) {
  collect(row, all);
  if (all.empty()) return kNotDrawn;
  keep_top_k(all, rule.top_k);
  softmax(all, rule.temperature);
  Ordered ordered(all);
  const Kept kept = kept_of(ordered, rule);
  double left = kept.total * uniform(rule.key, 0, static_cast<std::uint64_t>(drawn));
  for (std::size_t at = 0; at < kept.count; ++at) {
    left -= ordered.at(at).first;
    if (left <= 0) return ordered.at(at).second;
  }
  return ordered.at(kept.count - 1).second;
}

/// The rules' arrays of one call.
struct Rules {
  const double *temperature, *top_p, *min_p, *repetition;
  const std::int32_t* top_k;
  const std::int64_t* seed;

  Rules(const Call& call, const SamplingRules& rules, std::int64_t slots)
      : top_k(call.indices("top_k", rules.top_k, slots)) {
    const auto numbers = [&](const char* name, const TensorView& view) {
      call.check(name, view, {DType::f64, 1, {slots}});
      return view.as<double>();
    };
    temperature = numbers("temperature", rules.temperature);
    top_p = numbers("top_p", rules.top_p);
    min_p = numbers("min_p", rules.min_p);
    repetition = numbers("repetition", rules.repetition);
    call.check("seed", rules.seed, {DType::i64, 1, {slots}});
    seed = rules.seed.as<std::int64_t>();
  }
  Rule of(std::int64_t slot) const {
    return {temperature[slot], top_p[slot], min_p[slot],
            repetition[slot],  top_k[slot], {static_cast<std::uint64_t>(seed[slot]), hash_name("sampler")}};
  }
};

}  // namespace

void HostOps::sample_tokens(const SampleTokens& args) {
  const Call call("sample_tokens");
  const Matrix logits = call.matrix("logits", args.logits, kAny, kAny);
  const std::int32_t* slots = call.indices("slots", args.slots, logits.rows);
  std::int32_t* drawn = call.indices("drawn", args.drawn, kAny);
  const std::int64_t num_slots = args.drawn.extent(0);
  const Rules rules(call, args.rules, num_slots);
  const float* bias = call.optional_vector("bias", args.bias, logits.columns);
  if (!args.seen.empty()) call.check("seen", args.seen, {DType::u8, 2, {num_slots, logits.columns}});
  std::int32_t* tokens = call.indices("tokens", args.tokens, logits.rows);
  float* log_prob = call.optional_vector("log_prob", args.log_prob, logits.rows);
  if (args.drawable < 1 || args.drawable > logits.columns)
    call.fail(fmt::format("{} tokens may be drawn (of {})", args.drawable, logits.columns));
  candidates_.reserve(static_cast<std::size_t>(args.drawable));
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    const std::int32_t slot = slots[r];
    if (slot < 0) continue;
    if (slot >= num_slots) call.fail(fmt::format("slots[{}] is {} (there are {})", r, slot, num_slots));
    const Rule rule = rules.of(slot);
    auto* seen = args.seen.empty() ? nullptr : args.seen.as<std::uint8_t>() + slot * args.seen.stride(0);
    const Row row{logits.row(r), bias, seen, logits.columns, args.drawable, rule.repetition};
    tokens[r] = kNotDrawn;
    if (!row.is_finite()) continue;
    tokens[r] = rule.temperature == 0 ? row.likeliest() : draw(row, rule, drawn[slot], candidates_);
    if (tokens[r] == kNotDrawn) continue;
    ++drawn[slot];
    if (seen) seen[tokens[r]] = 1;
    if (log_prob) log_prob[r] = row.log_prob(tokens[r]);
  }
}

}  // namespace caravan::host

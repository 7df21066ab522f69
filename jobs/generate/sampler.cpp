#include "jobs/generate/sampler.hpp"

#include <algorithm>
#include <cmath>

#include "caravan/random.hpp"

namespace caravan::jobs {
namespace {

bool likelier(const std::pair<double, std::int32_t>& a, const std::pair<double, std::int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

}  // namespace

void Sampler::keep_top_k(std::span<const float> logits) {
  candidates_.clear();
  for (std::size_t token = 0; token < logits.size(); ++token) {
    candidates_.emplace_back(logits[token], static_cast<std::int32_t>(token));
  }
  const auto wanted = static_cast<std::size_t>(sampling_.top_k);
  const std::size_t kept = wanted == 0 ? candidates_.size() : std::min(wanted, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates_.end(), likelier);
  candidates_.resize(kept);
}

/// Differences are divided by the temperature, not logits: however small it is, the likeliest has 0 / it.
void Sampler::softmax() {
  const double highest = candidates_.front().first;
  double sum = 0;
  for (Candidate& candidate : candidates_)
    sum += candidate.first = std::exp((candidate.first - highest) / sampling_.temperature);
  for (Candidate& candidate : candidates_) candidate.first /= sum;
}

/// Keeps tokens until their probabilities reach top_p; the likeliest always stays.
void Sampler::keep_top_p() {
  double before = 0;
  std::size_t kept = 0;
  while (kept < candidates_.size() && (kept == 0 || before < sampling_.top_p))
    before += candidates_[kept++].first;
  candidates_.resize(kept);
}

std::int32_t Sampler::draw() {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.first;
  double left = total * uniform({sampling_.seed, hash_name("sampler")}, 0, drawn_++);
  for (const Candidate& candidate : candidates_) {
    left -= candidate.first;
    if (left <= 0) return candidate.second;
  }
  return candidates_.back().second;
}

std::int32_t Sampler::next(std::span<const float> logits) {
  if (sampling_.temperature == 0) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  keep_top_k(logits);
  softmax();
  keep_top_p();
  return draw();
}

}  // namespace caravan::jobs

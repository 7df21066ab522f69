#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace caravan::jobs {

/// How the next token is chosen. Order as in transformers: temperature, then top-k, then top-p.
struct Sampling {
  double temperature = 1;  ///< 0: the most likely token, the lowest id on ties
  std::int64_t top_k = 0;  ///< keep this many; 0: all
  double top_p = 1;        ///< keep the likeliest tokens whose probabilities reach this
  std::uint64_t seed = 1;
};

/// Draws tokens; token n of a run depends on seed and n alone.
class Sampler {
 public:
  explicit Sampler(const Sampling& sampling) : sampling_(sampling) {}
  std::int32_t next(std::span<const float> logits);

 private:
  using Candidate = std::pair<double, std::int32_t>;  // probability, token
  void keep_top_k(std::span<const float> logits);
  void softmax();
  void keep_top_p();
  std::int32_t draw();

  Sampling sampling_;
  std::uint64_t drawn_ = 0;
  std::vector<Candidate> candidates_;  // likeliest first
};

}  // namespace caravan::jobs

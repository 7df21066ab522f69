#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

// Attention of the first layer of job_of()'s model, and a clip of its logits, in loops over single numbers.
namespace caravan::jobs {

/// Of the layout tests' model: 8 query heads of width 4 on 2 key heads, 24 wide between layers.
inline constexpr int kLength = 12;
inline constexpr std::int64_t kHeads = 8, kKvHeads = 2, kGroup = kHeads / kKvHeads, kWidth = 4, kDim = 24;

using Rows = std::vector<float>;

/// What the first layer's attention makes of tokens, in loops over single numbers.
class FirstLayer {
 public:
  enum class Kind { rotated, without_positions };

  FirstLayer(const std::map<std::string, Rows>& weights, const std::vector<std::int32_t>& tokens, Kind kind)
      : weights_(weights), tokens_(tokens), kind_(kind) {}

  /// The largest logit of each query head, over all queries and the keys before them.
  std::vector<double> largest() const {
    std::vector<double> largest(kHeads, -INFINITY);
    for (std::size_t first = 0; first < tokens_.size(); first += kLength)
      for (int query = 0; query < kLength; ++query)
        for (int key = 0; key <= query; ++key)
          for (std::int64_t head = 0; head < kHeads; ++head) {
            const auto q = projected(head, first, query), k = projected(kHeads + head / kGroup, first, key);
            double logit = 0;
            for (std::int64_t d = 0; d < kWidth; ++d) logit += q[d] * k[d];
            double& most = largest[static_cast<std::size_t>(head)];
            most = std::max(most, temperature(query) * logit / std::sqrt(double{kWidth}));
          }
    return largest;
  }

 private:
  std::vector<double> normed(std::int32_t token) const {
    const Rows &table = weights_.at("tok_embeddings.weight"),
               &norm = weights_.at("layers.0.attention_norm.weight");
    std::vector<double> x;
    double squares = 0;
    for (std::int64_t i = 0; i < kDim; ++i) {
      x.push_back(table[static_cast<std::size_t>(token * kDim + i)]);
      squares += x.back() * x.back();
    }
    for (std::int64_t i = 0; i < kDim; ++i)
      x[static_cast<std::size_t>(i)] *= norm[static_cast<std::size_t>(i)] / std::sqrt(squares / kDim + 1e-5);
    return x;
  }

  /// A head of wq|wk at a position of the sequence that begins at `first`.
  std::vector<double> projected(std::int64_t head, std::size_t first, int position) const {
    const Rows& rows = weights_.at("layers.0.attention.wqkv");
    const std::vector<double> x = normed(tokens_[first + static_cast<std::size_t>(position)]);
    std::vector<double> y(kWidth);
    for (std::int64_t d = 0; d < kWidth; ++d)
      for (std::int64_t i = 0; i < kDim; ++i)
        y[static_cast<std::size_t>(d)] +=
            double{rows[static_cast<std::size_t>((head * kWidth + d) * kDim + i)]} *
            x[static_cast<std::size_t>(i)];
    for (std::size_t pair = 0; kind_ == Kind::rotated && pair < kWidth / 2; ++pair) {
      const double angle = position * std::pow(500000.0, -2.0 * static_cast<double>(pair) / kWidth);
      const double a = y[2 * pair], b = y[2 * pair + 1];
      y[2 * pair] = a * std::cos(angle) - b * std::sin(angle);
      y[2 * pair + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
    return y;
  }

  /// Of scale 0.5 and floor 4.
  double temperature(int position) const {
    return kind_ == Kind::rotated ? 1 : 1 + 0.5 * std::log1p(std::floor((position + 1) / 4.0));
  }

  const std::map<std::string, Rows>& weights_;
  const std::vector<std::int32_t>& tokens_;
  Kind kind_;
};

/// What the clip makes of wq|wk|wv: the formulas of Kimi K2's report, a head at a time.
inline Rows clipped(Rows rows, const std::vector<double>& largest, double limit) {
  const auto multiply = [&](std::int64_t head, double factor) {
    for (std::int64_t at = head * kWidth * kDim; at < (head + 1) * kWidth * kDim; ++at)
      rows[static_cast<std::size_t>(at)] = static_cast<float>(rows[static_cast<std::size_t>(at)] * factor);
  };
  for (std::int64_t group = 0; group < kKvHeads; ++group) {
    double least = 1;
    for (std::int64_t head = group * kGroup; head < (group + 1) * kGroup; ++head)
      least = std::min(least, limit / largest[static_cast<std::size_t>(head)]);
    for (std::int64_t head = group * kGroup; head < (group + 1) * kGroup; ++head)
      multiply(head, std::min(1.0, limit / largest[static_cast<std::size_t>(head)]) / std::sqrt(least));
    multiply(kHeads + group, std::sqrt(least));
  }
  return rows;
}

}  // namespace caravan::jobs

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace caravan::jobs {

/// What there is to say of a tensor's elements. Everything but the last three is of the finite ones.
struct Statistics {
  std::uint64_t count = 0;  ///< of all elements
  std::uint64_t finite = 0;
  std::uint64_t zeros = 0;
  double min = 0, max = 0, mean = 0;
  double squares = 0;      ///< Σ x²
  double around_mean = 0;  ///< Σ (x - mean)²
  std::uint64_t nans = 0, infinities = 0;
  std::optional<std::uint64_t> first_not_finite;  ///< its index in row-major order

  double norm() const;       ///< sqrt(Σ x²)
  double rms() const;        ///< sqrt(Σ x² / n)
  double deviation() const;  ///< of the population: sqrt(Σ (x - mean)² / n)
  double absmax() const;
};

/// Adds up in one pass over pieces; each piece in lanes, pieces by Chan's formula, so that a mean far from
/// zero costs no digits. Source: Chan, Golub, LeVeque 1983, eq. 2.1.
class StatisticsSum {
 public:
  /// `first`: the index of the piece's first element.
  void add(std::span<const double> values, std::uint64_t first);
  const Statistics& result() const noexcept { return sum_; }

 private:
  struct FirstPass {
    double sum, min, max, zeros;
    double poison;  ///< 0 unless a value is not finite
  };
  static FirstPass first_pass(std::span<const double> values);
  void add_finite(std::span<const double> values, const FirstPass& piece);
  void sort_out(std::span<const double> values, std::uint64_t first);

  Statistics sum_;
  std::vector<double> finite_;  // of a piece that holds others too
};

}  // namespace caravan::jobs

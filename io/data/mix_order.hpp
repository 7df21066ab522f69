#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace caravan::io {

inline constexpr std::size_t kMostParts = 1000;
/// Below this share of a mix 2^-32, the resolution of the order, is no longer small.
inline constexpr double kLeastShare = 1e-6;

/// Which part of a mix a sample comes from, by its global number and a seed alone: nothing is stored, no
/// sample before it is looked at, and no random draw makes shares differ from what they are to be.
///
/// The parts are halved, and their halves again; at each of these borders the samples that come to it go to
/// its two sides in the order of a Beatty sequence, floor((n * ratio + phase) / 2^32) of n to the left. So
/// the count of a side is never a whole sample from its share at a border, of a part never one for each
/// border above it (at most 10), and its samples are as evenly apart as they can be. The seed gives the
/// phases.
class MixOrder {
 public:
  /// ConfigError unless these are 1 to kMostParts finite weights above zero, each at least kLeastShare of
  /// their sum.
  MixOrder(std::span<const double> weights, std::uint64_t seed);

  struct Place {
    std::size_t part = 0;
    std::int64_t index = 0;  ///< how many samples of the part come before
  };
  /// `sample` in [0, 2^62).
  Place at(std::int64_t sample) const;
  /// Of the first `samples` samples, how many come from each part.
  std::vector<std::int64_t> taken(std::int64_t samples) const;
  /// Of each part, of all samples in the long run.
  const std::vector<double>& shares() const noexcept { return shares_; }

 private:
  struct Border {
    std::uint64_t ratio = 0, phase = 0;  // of 2^32
    std::int64_t left_of(std::int64_t samples) const;
  };
  static std::size_t middle(std::size_t begin, std::size_t end) { return begin + (end - begin) / 2; }
  void divide(std::size_t begin, std::size_t end, std::uint64_t seed);
  void count(std::size_t begin, std::size_t end, std::int64_t samples,
             std::vector<std::int64_t>& counts) const;

  std::vector<double> shares_;
  std::vector<Border> borders_;  // by the part that begins on the right
};

}  // namespace caravan::io

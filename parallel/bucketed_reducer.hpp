#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/gradient_reducer.hpp"

namespace caravan::parallel {

/// Replicated data parallelism: joins neighbouring gradients to buckets and posts an all-reduce for each full
/// one. Allocates nothing once the largest step was seen.
class BucketedReducer final : public GradientReducer {
 public:
  static constexpr std::int64_t kDefaultBucketBytes = 4 << 20;
  /// MPI works on a copy of every bucket in flight; without a bound a rank that runs ahead would copy all
  /// gradients. There is none where nothing is copied: a wait would hold up the lane that computes.
  static constexpr std::size_t kMostInFlight = 2;

  /// Bytes of these copies at most, when no single gradient is larger than `largest_gradient`.
  static constexpr std::int64_t most_copied_bytes(std::int64_t largest_gradient) {
    return static_cast<std::int64_t>(kMostInFlight) * (kDefaultBucketBytes + largest_gradient);
  }

  /// Borrows `group`. A bucket is posted as soon as it holds `bucket_bytes`, or the next gradient does not
  /// touch it.
  explicit BucketedReducer(Communicator& group, std::int64_t bucket_bytes = kDefaultBucketBytes);

  void ready(TensorView grads) override;
  void progress() override;
  void wait_all() override;

 private:
  bool joins(const float* begin, const float* end) const { return end == begin_ || begin == end_; }
  void post_bucket();

  Communicator& group_;
  std::int64_t bucket_bytes_;
  float* begin_ = nullptr;  ///< the open bucket; empty when begin_ == end_
  float* end_ = nullptr;
  std::vector<Ticket> posted_;  ///< in posting order
  std::size_t finished_ = 0;    ///< how many of them, from the front, are known to have finished
};

}  // namespace caravan::parallel

#include "parallel/bucketed_reducer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::parallel {

BucketedReducer::BucketedReducer(Communicator& group, std::int64_t bucket_bytes)
    : group_(group), bucket_bytes_(bucket_bytes) {
  CARAVAN_CHECK(bucket_bytes > 0, ConfigError,
                fmt::format("gradient buckets of {} bytes (must be positive)", bucket_bytes));
}

void BucketedReducer::ready(TensorView grads) {
  CARAVAN_CHECK(
      grads.dtype == DType::f32 && grads.contiguous(), CommError,
      fmt::format("gradient {} {} (must be contiguous f32)", name_of(grads.dtype), to_string(grads.shape)));
  if (grads.count() == 0 || group_.size() == 1) return;
  float* begin = grads.as<float>();
  float* end = begin + grads.count();
  if (!joins(begin, end)) {
    post_bucket();
    begin_ = begin;
    end_ = end;
  }
  begin_ = std::min(begin_, begin);
  end_ = std::max(end_, end);
  if ((end_ - begin_) * static_cast<std::int64_t>(sizeof(float)) >= bucket_bytes_) post_bucket();
}

void BucketedReducer::post_bucket() {
  if (begin_ == end_) return;
  while (group_.keeps_copies() && posted_.size() - finished_ >= kMostInFlight)
    group_.wait(posted_[finished_++]);
  posted_.push_back(group_.post_all_reduce(TensorView(begin_, DType::f32, {end_ - begin_}), ReduceOp::sum));
  begin_ = end_ = nullptr;
}

void BucketedReducer::progress() {
  // A test that fails has advanced all that is posted; one of a finished operation may have done nothing.
  while (finished_ < posted_.size() && group_.test(posted_[finished_])) ++finished_;
}

void BucketedReducer::wait_all() {
  post_bucket();
  for (Ticket& ticket : posted_) group_.wait(ticket);
  posted_.clear();
  finished_ = 0;
}

}  // namespace caravan::parallel

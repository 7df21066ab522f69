#include "parallel/bucketed_reducer.hpp"

#include <gtest/gtest.h>

#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"
#include "tests/support/idle_communicator.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::parallel {
namespace {

class BucketedReducerTest : public ::testing::Test {
 protected:
  /// Sums of filled<float>(count, r) over all ranks.
  std::vector<float> expected(std::int64_t count) const {
    std::vector<float> sum(static_cast<std::size_t>(count));
    for (int rank = 0; rank < world->size(); ++rank) {
      const auto part = filled<float>(count, rank);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    return sum;
  }
  std::unique_ptr<Communicator> world = make_world_communicator();
};

/// A backward walk announces the last parameter first.
TEST_F(BucketedReducerTest, GradientsAnnouncedBackwardsAreSummed) {
  constexpr std::int64_t count = 100'000, piece = 777;
  auto grads = filled<float>(count, world->rank());
  BucketedReducer reducer(*world, 64 << 10);

  for (std::int64_t end = count; end > 0; end -= piece) {
    reducer.ready(view_of(grads).rows(std::max<std::int64_t>(end - piece, 0), end));
    reducer.progress();
  }
  reducer.wait_all();

  EXPECT_EQ(grads, expected(count));
}

TEST_F(BucketedReducerTest, WhatLiesBetweenIsNotTouched) {
  auto grads = filled<float>(1000, world->rank());
  const auto before = grads;
  BucketedReducer reducer(*world);

  reducer.ready(view_of(grads).rows(600, 1000));
  reducer.ready(view_of(grads).rows(0, 400));
  reducer.wait_all();

  const auto sum = expected(1000);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    ASSERT_EQ(grads[i], i >= 400 && i < 600 ? before[i] : sum[i]) << i;
  }
}

TEST_F(BucketedReducerTest, StepsAreIndependent) {
  BucketedReducer reducer(*world, 1 << 10);
  for (int step = 0; step < 3; ++step) {
    auto grads = filled<float>(5000, world->rank());
    for (std::int64_t end = 5000; end > 0; end -= 500) reducer.ready(view_of(grads).rows(end - 500, end));
    reducer.wait_all();
    EXPECT_EQ(grads, expected(5000)) << "step " << step;
  }
}

TEST_F(BucketedReducerTest, ProgressAndWaitWithNothingAnnouncedDoNothing) {
  BucketedReducer reducer(*world);
  reducer.progress();
  reducer.wait_all();
  std::vector<float> none;
  reducer.ready(TensorView(none.data(), DType::f32, {0}));
  reducer.wait_all();
  SUCCEED();
}

/// Random values, so that another order of additions would change bits.
TEST_F(BucketedReducerTest, SumsAreTheSameBitsEveryTime) {
  std::vector<float> first;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<float> grads(60'000);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      grads[i] = normal({5, 2}, static_cast<std::uint64_t>(world->rank()), i);
    }
    BucketedReducer reducer(*world, 32 << 10);
    for (std::int64_t end = 60'000; end > 0; end -= 1'000) {
      if (world->rank() == repeat) reducer.progress();  // timing must not matter
      reducer.ready(view_of(grads).rows(end - 1'000, end));
    }
    reducer.wait_all();
    if (repeat == 0) first = grads;
    EXPECT_EQ(grads, first) << "repeat " << repeat;
  }
}

/// Counts what is posted and waited for.
class Counting final : public testing::IdleCommunicator {
 public:
  explicit Counting(bool keeps_copies) : IdleCommunicator(0, 2), keeps_copies_(keeps_copies) {}
  bool keeps_copies() const override { return keeps_copies_; }
  Ticket post_all_reduce(TensorView, ReduceOp) override {
    return Ticket(static_cast<std::uint64_t>(++posted));
  }
  void wait(Ticket& ticket) override {
    waited += ticket.pending();
    ticket = Ticket();
  }
  int posted = 0, waited = 0;

 private:
  bool keeps_copies_;
};

/// A wait makes the compute lane of a GPU wait, so that there is none before the end where nothing is copied.
TEST_F(BucketedReducerTest, CopiesAloneBoundWhatIsUnderWay) {
  std::vector<float> grads(6000);
  for (const bool keeps_copies : {true, false}) {
    Counting group(keeps_copies);
    BucketedReducer reducer(group, 4000);
    for (std::int64_t begin = 0; begin < 6000; begin += 1000)
      reducer.ready(view_of(grads).rows(begin, begin + 1000));
    EXPECT_EQ(group.posted, 6);
    EXPECT_EQ(group.waited, keeps_copies ? 4 : 0);
    reducer.wait_all();
    EXPECT_EQ(group.waited, 6);
  }
}

TEST_F(BucketedReducerTest, OnlyContiguousF32IsTaken) {
  std::vector<double> doubles(4);
  BucketedReducer reducer(*world);
  EXPECT_EQ(testing::message_of<CommError>([&] { reducer.ready(view_of(doubles)); }),
            "gradient f64 [4] (must be contiguous f32)");
  EXPECT_EQ(testing::message_of<ConfigError>([&] { BucketedReducer(*world, 0); }),
            "gradient buckets of 0 bytes (must be positive)");
}

}  // namespace
}  // namespace caravan::parallel

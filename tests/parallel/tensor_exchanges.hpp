#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"

// What every group that moves tensors in a device's own memory must do.
namespace caravan {

/// `Backend(world)` has `Device& device()`, `Communicator& group()` of all ranks of the world, and
/// `std::string absent()`: why this machine cannot run it.
template <class Backend>
class TensorExchanges : public ::testing::Test {
 protected:
  TensorExchanges() : world_(parallel::make_world_communicator()), backend_(*world_) {}
  void SetUp() override {
    if (const std::string reason = backend_.absent(); !reason.empty()) GTEST_SKIP() << reason;
  }
  ~TensorExchanges() override {
    for (void* block : blocks_) device().release(block);
  }

  Device& device() { return backend_.device(); }
  Communicator& group() { return backend_.group(); }
  TensorView upload(const std::vector<float>& values) {
    const std::size_t bytes = values.size() * sizeof(float);
    blocks_.push_back(device().allocate(bytes, "test"));
    device().copy_from_host(Lane::compute, blocks_.back(), values.data(), bytes);
    return TensorView(blocks_.back(), DType::f32, {static_cast<std::int64_t>(values.size())});
  }
  TensorView room(std::int64_t count) {
    return upload(std::vector<float>(static_cast<std::size_t>(count), -1.0f));
  }
  std::vector<float> download(const TensorView& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.count()));
    device().copy_to_host(Lane::compute, values.data(), tensor.data, tensor.bytes());
    device().synchronize();
    return values;
  }
  std::vector<float> sum_of_all(std::int64_t count) const {
    std::vector<float> sum(static_cast<std::size_t>(count));
    for (int rank = 0; rank < size(); ++rank) {
      const auto theirs = filled<float>(count, rank);
      std::transform(sum.begin(), sum.end(), theirs.begin(), sum.begin(), std::plus<>());
    }
    return sum;
  }
  /// `count` elements of each rank's data from `begin` on.
  std::vector<float> blocks_of_all(std::int64_t of, std::int64_t begin, std::int64_t count) const {
    std::vector<float> all;
    for (int rank = 0; rank < size(); ++rank) {
      const auto theirs = filled<float>(of, rank);
      all.insert(all.end(), theirs.begin() + begin, theirs.begin() + begin + count);
    }
    return all;
  }
  int rank() const { return world_->rank(); }
  int size() const { return world_->size(); }

  std::unique_ptr<Communicator> world_;
  Backend backend_;
  std::vector<void*> blocks_;
};
TYPED_TEST_SUITE_P(TensorExchanges);

TYPED_TEST_P(TensorExchanges, AllReducesSeveralAtOnceInTheOrderOfTheirWaits) {
  std::vector<TensorView> tensors;
  std::vector<Ticket> tickets;
  for (std::int64_t count : {5, 1, 70'000}) {
    tensors.push_back(this->upload(filled<float>(count, this->rank())));
    tickets.push_back(this->group().post_all_reduce(tensors.back(), ReduceOp::sum));
  }
  for (std::size_t index = tickets.size(); index-- > 0;) this->group().wait(tickets[index]);

  for (const TensorView& tensor : tensors)
    EXPECT_EQ(this->download(tensor), this->sum_of_all(tensor.count()));
}

TYPED_TEST_P(TensorExchanges, GathersScattersExchangesAndBroadcasts) {
  constexpr std::int64_t kBlock = 7;
  const TensorView mine = this->upload(filled<float>(kBlock, this->rank())),
                   all = this->room(kBlock * this->size());
  this->group().all_gather(mine, all);
  EXPECT_EQ(this->download(all), this->blocks_of_all(kBlock, 0, kBlock));

  const TensorView blocks = this->upload(filled<float>(kBlock * this->size(), this->rank())),
                   own = this->room(kBlock);
  Ticket ticket = this->group().post_reduce_scatter(blocks, own, ReduceOp::sum);
  this->group().wait(ticket);
  const auto sum = this->sum_of_all(kBlock * this->size());
  EXPECT_EQ(this->download(own), std::vector<float>(sum.begin() + kBlock * this->rank(),
                                                    sum.begin() + kBlock * (this->rank() + 1)));

  const TensorView exchanged = this->room(kBlock * this->size());
  ticket = this->group().post_all_to_all(blocks, exchanged);
  this->group().wait(ticket);
  EXPECT_EQ(this->download(exchanged),
            this->blocks_of_all(kBlock * this->size(), kBlock * this->rank(), kBlock));

  this->group().broadcast(mine, this->size() - 1);
  EXPECT_EQ(this->download(mine), filled<float>(kBlock, this->size() - 1));
}

TYPED_TEST_P(TensorExchanges, UnequalExchangeLeavesWhatLiesBehindTheRows) {
  // Every rank sends one row to rank 0, two to rank 1, …
  std::vector<std::int64_t> out(static_cast<std::size_t>(this->size())), in(out.size(), this->rank() + 1);
  std::iota(out.begin(), out.end(), 1);
  const std::int64_t sent = std::accumulate(out.begin(), out.end(), std::int64_t{0});
  const TensorView rows = this->upload(filled<float>(sent, this->rank())),
                   received = this->room(this->size() * this->size() + 3);
  Ticket ticket = this->group().post_all_to_all_v(rows, out, received, in);
  this->group().wait(ticket);

  std::vector<float> expected =
      this->blocks_of_all(sent, this->rank() * (this->rank() + 1) / 2, this->rank() + 1);
  expected.resize(static_cast<std::size_t>(received.count()), -1.0f);
  EXPECT_EQ(this->download(received), expected);
}

TYPED_TEST_P(TensorExchanges, SendsRoundTheRing) {
  if (this->size() == 1) GTEST_SKIP() << "one rank has nobody to send to";
  const int next = (this->rank() + 1) % this->size(),
            before = (this->rank() + this->size() - 1) % this->size();
  const TensorView mine = this->upload(filled<float>(9, this->rank())), theirs = this->room(9);
  Ticket received = this->group().post_recv(theirs, before, 1), sent = this->group().post_send(mine, next, 1);
  while (!this->group().test(received)) continue;
  this->group().wait(received);
  this->group().wait(sent);

  EXPECT_EQ(this->download(theirs), filled<float>(9, before));
}

TYPED_TEST_P(TensorExchanges, SplitsIntoGroupsThatExchangeToo) {
  const auto part = this->group().split(this->rank() % 2, this->rank(), "half");
  const TensorView ones = this->upload({1, 2});
  part->all_reduce(ones, ReduceOp::sum);

  const auto members = static_cast<float>(part->size());
  EXPECT_EQ(this->download(ones), (std::vector<float>{members, 2 * members}));
}

/// Both ranks of a pair send before they receive, and what is large does not fit anybody's buffers.
TYPED_TEST_P(TensorExchanges, NeighboursSendToEachOtherBeforeTheyReceive) {
  if (this->size() == 1) GTEST_SKIP() << "one rank has nobody to send to";
  constexpr std::int64_t kCount = 3'000'000;
  const int next = (this->rank() + 1) % this->size(),
            before = (this->rank() + this->size() - 1) % this->size();
  const TensorView mine = this->upload(filled<float>(kCount, this->rank()));
  const TensorView from_before = this->room(kCount), from_next = this->room(kCount);
  Communicator& group = this->group();
  std::vector<Ticket> tickets;
  tickets.push_back(group.post_send(mine, next, 1));
  if (next != before) tickets.push_back(group.post_send(mine, before, 2));
  tickets.push_back(group.post_recv(from_before, before, 1));
  if (next != before) tickets.push_back(group.post_recv(from_next, next, 2));
  for (Ticket& ticket : tickets) group.wait(ticket);

  EXPECT_EQ(this->download(from_before), filled<float>(kCount, before));
  if (next != before) {
    EXPECT_EQ(this->download(from_next), filled<float>(kCount, next));
  }
}

/// What is posted is what the compute lane had written by then, and is there for what it does after the wait.
TYPED_TEST_P(TensorExchanges, FollowTheComputeLaneAndAreFollowedByIt) {
  constexpr std::int64_t kCount = 1 << 20;
  const TensorView tensor = this->upload(filled<float>(kCount, this->rank())), other = this->room(kCount);
  for (int round = 0; round < 20; ++round) {
    this->device().copy(Lane::compute, other.data, tensor.data, tensor.bytes());
    Ticket ticket = this->group().post_all_reduce(other, ReduceOp::max);
    this->group().wait(ticket);
    this->device().copy(Lane::compute, tensor.data, other.data, tensor.bytes());
  }
  std::vector<float> largest(kCount, 0);
  for (int rank = 0; rank < this->size(); ++rank) {
    const auto theirs = filled<float>(kCount, rank);
    std::transform(largest.begin(), largest.end(), theirs.begin(), largest.begin(),
                   [](float a, float b) { return std::max(a, b); });
  }
  EXPECT_EQ(this->download(tensor), largest);
}

REGISTER_TYPED_TEST_SUITE_P(TensorExchanges, AllReducesSeveralAtOnceInTheOrderOfTheirWaits,
                            GathersScattersExchangesAndBroadcasts, UnequalExchangeLeavesWhatLiesBehindTheRows,
                            SendsRoundTheRing, SplitsIntoGroupsThatExchangeToo,
                            NeighboursSendToEachOtherBeforeTheyReceive,
                            FollowTheComputeLaneAndAreFollowedByIt);

}  // namespace caravan

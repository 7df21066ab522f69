#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"

namespace {
std::atomic<long> allocations{0};
}

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* data = std::malloc(bytes ? bytes : 1)) return data;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* data) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}

namespace caravan {
namespace {

class PointToPoint : public ::testing::Test {
 protected:
  void SetUp() override {
    if (size == 1) GTEST_SKIP() << "needs two ranks";
  }
  std::unique_ptr<Communicator> world = parallel::make_world_communicator();
  const int rank = world->rank();
  const int size = world->size();
};

TEST_F(PointToPoint, ARingPassesEveryRanksDataOn) {
  auto mine = filled<float>(5000, rank);
  std::vector<float> got(mine.size());

  Ticket receive = world->post_recv(view_of(got), (rank + size - 1) % size, 3);
  Ticket send = world->post_send(view_of(mine), (rank + 1) % size, 3);
  world->wait(send);
  world->wait(receive);

  EXPECT_EQ(got, filled<float>(5000, (rank + size - 1) % size));
}

TEST_F(PointToPoint, TagsKeepMessagesApart) {
  if (rank > 1) return;
  const int other = 1 - rank;
  std::vector<std::vector<float>> sent, got(3, std::vector<float>(10));
  std::vector<Ticket> tickets;
  for (int tag = 0; tag < 3; ++tag) sent.push_back(filled<float>(10, rank, static_cast<std::uint64_t>(tag)));

  for (std::size_t tag : {2, 0, 1})
    tickets.push_back(world->post_recv(view_of(got[tag]), other, static_cast<int>(tag)));
  for (std::size_t tag : {0, 1, 2})
    tickets.push_back(world->post_send(view_of(sent[tag]), other, static_cast<int>(tag)));
  for (Ticket& ticket : tickets) world->wait(ticket);

  for (std::size_t tag = 0; tag < 3; ++tag)
    EXPECT_EQ(got[tag], filled<float>(10, other, tag)) << "tag " << tag;
}

TEST_F(PointToPoint, TestDrivesAnOperationToItsEnd) {
  auto data = filled<float>(200'000, rank);

  Ticket ticket = world->post_all_reduce(view_of(data), ReduceOp::sum);
  long polls = 0;
  while (!world->test(ticket)) ++polls;
  EXPECT_TRUE(ticket.pending()) << "wait is still owed";
  world->wait(ticket);

  EXPECT_FALSE(ticket.pending());
  EXPECT_TRUE(world->test(ticket)) << "nothing is under way any more";
  EXPECT_GE(polls, 0);
}

TEST_F(PointToPoint, PostingAllocatesNothingInTheSteadyState) {
  std::vector<float> in(64, 1.0f), out(64);
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(size), 4);
  long before = 0;

  for (int step = 0; step < 10; ++step) {
    if (step == 2) before = allocations;
    Ticket a = world->post_all_reduce(view_of(in), ReduceOp::max);
    Ticket b = world->post_all_to_all_v(TensorView(in.data(), DType::f32, {16, 4}), counts,
                                        TensorView(out.data(), DType::f32, {16, 4}), counts);
    world->wait(b);
    world->wait(a);
  }

  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace caravan

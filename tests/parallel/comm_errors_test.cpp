#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

class CommErrors : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> world = parallel::make_world_communicator();
  const int rank = world->rank();
  const int other = 1 - world->rank();
  std::vector<float> data = std::vector<float>(8);
};

TEST_F(CommErrors, SendingToOneselfNamesTheRanks) {
  EXPECT_EQ(message_of<CommError>([&] { std::ignore = world->post_send(view_of(data), rank, 0); }),
            "send on group 'world': rank " + std::to_string(rank) + " talks to rank " + std::to_string(rank) +
                " (must be another rank below 2)");
}

TEST_F(CommErrors, ATagThatSomeMpiLacksIsRefused) {
  EXPECT_EQ(message_of<CommError>([&] { std::ignore = world->post_recv(view_of(data), other, 40000); }),
            "recv on group 'world': tag 40000 (must be 0 to 32765)");
}

TEST_F(CommErrors, AStridedViewIsRefused) {
  const TensorView columns = view_of(data, {2, 4}).slice(1, 0, 2);
  EXPECT_THAT(message_of<CommError>([&] { std::ignore = world->post_all_reduce(columns, ReduceOp::sum); }),
              HasSubstr("all_reduce on group 'world': [2, 2] is not contiguous"));
}

TEST_F(CommErrors, BlocksThatDoNotMatchAreNamed) {
  std::vector<float> out(15);
  EXPECT_EQ(message_of<CommError>([&] { world->all_gather(view_of(data), view_of(out)); }),
            "all_gather on group 'world': f32 [8] against f32 [15] (needs 2 equal blocks of one type)");
}

TEST_F(CommErrors, HalvesCannotBeReduced) {
  const TensorView half(data.data(), DType::f16, {4});
  EXPECT_EQ(message_of<CommError>([&] { world->all_reduce(half, ReduceOp::sum); }),
            "cannot reduce f16 between ranks (MPI has no such number). Reduce in f32?");
}

TEST_F(CommErrors, RowsBeyondTheViewAreNamed) {
  const std::vector<std::int64_t> counts = {3, 6}, wrong_size = {1};
  const TensorView view = view_of(data);
  EXPECT_THAT(
      message_of<CommError>([&] { std::ignore = world->post_all_to_all_v(view, counts, view, counts); }),
      HasSubstr("in_counts of rank 1 is 6 (must be 0 to 5: there are 8 rows"));
  EXPECT_THAT(
      message_of<CommError>([&] { std::ignore = world->post_all_to_all_v(view, wrong_size, view, counts); }),
      HasSubstr("1 in_counts (needs one a rank, 2)"));
}

TEST_F(CommErrors, ATicketIsGoodOnce) {
  Ticket ticket = world->post_all_reduce(view_of(data), ReduceOp::sum);
  Ticket copy(ticket.id());
  world->wait(ticket);
  EXPECT_THAT(message_of<CommError>([&] { world->wait(copy); }),
              HasSubstr("is not pending on group 'world'"));
}

TEST_F(CommErrors, ATicketOfAnotherGroupIsNoticed) {
  auto twin = world->split(0, rank, "twin");
  Ticket ticket = world->post_all_reduce(view_of(data), ReduceOp::sum);
  EXPECT_THAT(message_of<CommError>([&] { twin->wait(ticket); }),
              HasSubstr("is not pending on group 'twin'"));
  world->wait(ticket);
}

TEST_F(CommErrors, MpisOwnErrorBecomesACommError) {
  std::vector<float> longer(16);
  if (rank == 0) {
    Ticket send = world->post_send(view_of(longer), 1, 0);
    world->wait(send);
    return;
  }
  Ticket receive = world->post_recv(view_of(data), 0, 0);
  const std::string message = message_of<CommError>([&] { world->wait(receive); });
  EXPECT_THAT(message, HasSubstr("recv on group 'world' failed: "));
  EXPECT_THAT(message, ::testing::AnyOf(HasSubstr("MPI_ERR_TRUNCATE"), HasSubstr("Message truncated")));
}

TEST_F(CommErrors, AForgottenOperationIsLoggedAndCompleted) {
  ::testing::internal::CaptureStderr();
  {
    auto group = world->split(0, rank, "forgetful");
    std::ignore = group->post_all_reduce(view_of(data), ReduceOp::sum);
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("group 'forgetful' goes away with 1 operations never waited: all_reduce"));
}

TEST(SingleRankGroup, HasNobodyToTalkTo) {
  auto world = parallel::make_world_communicator();
  auto alone = world->split(world->rank(), 0, "alone");
  std::vector<float> data(2);

  EXPECT_EQ(alone->size(), 1);
  EXPECT_THAT(message_of<CommError>([&] { std::ignore = alone->post_send(view_of(data), 0, 0); }),
              HasSubstr("a group of one rank has nobody to send to"));
  EXPECT_FALSE(alone->post_all_reduce(view_of(data), ReduceOp::sum).pending());
}

}  // namespace
}  // namespace caravan

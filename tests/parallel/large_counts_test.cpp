#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "parallel/mpi_communicator.hpp"
#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"

namespace caravan {
namespace {

/// A world whose MPI calls may count 64 bytes only: every operation below is cut into pieces, as those above
/// 2^31 are.
class SmallCalls : public ::testing::Test {
 protected:
  static std::unique_ptr<Communicator> make() {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return std::make_unique<parallel::MpiCommunicator>(
        comm, "small", parallel::CommLimits{.call_bytes = 64, .all_reduce_bytes = 64});
  }
  std::unique_ptr<Communicator> world = make();
  const int rank = world->rank();
  const int size = world->size();
};

TEST_F(SmallCalls, SendAndReceiveAreCut) {
  auto mine = filled<float>(101, rank);
  std::vector<float> got(mine.size());

  Ticket receive = world->post_recv(view_of(got), (rank + size - 1) % size, 0);
  Ticket send = world->post_send(view_of(mine), (rank + 1) % size, 0);
  world->wait(receive);
  world->wait(send);

  EXPECT_EQ(got, filled<float>(101, (rank + size - 1) % size));
}

TEST_F(SmallCalls, BroadcastAndAllReduceAreCut) {
  auto sum = filled<double>(77, rank), copy = filled<double>(77, rank);

  world->all_reduce(view_of(sum), ReduceOp::sum);
  world->broadcast(view_of(copy), size - 1);

  for (std::size_t i = 0; i < sum.size(); ++i) {
    double expected = 0;
    for (int r = 0; r < size; ++r) expected += filled<double>(77, r)[i];
    ASSERT_EQ(sum[i], expected) << i;
  }
  EXPECT_EQ(copy, filled<double>(77, size - 1));
}

TEST_F(SmallCalls, AllGatherIsCutInBothForms) {
  auto in = filled<float>(53, rank);
  std::vector<float> out(in.size() * static_cast<std::size_t>(size)), in_place(out.size());
  std::copy(in.begin(), in.end(), in_place.begin() + rank * 53);

  world->all_gather(view_of(in), view_of(out));
  world->all_gather(view_of(in_place).rows(rank * 53, rank * 53 + 53), view_of(in_place));

  for (int r = 0; r < size; ++r) {
    const auto expected = filled<float>(53, r);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.begin() + r * 53)) << r;
  }
  EXPECT_EQ(out, in_place);
}

TEST_F(SmallCalls, AllToAllIsCutInBothForms) {
  auto in = filled<float>(41 * size, rank), in_place = in;
  std::vector<float> out(in.size());

  Ticket a = world->post_all_to_all(view_of(in), view_of(out));
  world->wait(a);
  Ticket b = world->post_all_to_all(view_of(in_place), view_of(in_place));
  world->wait(b);

  for (int r = 0; r < size; ++r) {
    const auto sent = filled<float>(41 * size, r);
    EXPECT_TRUE(std::equal(out.begin() + r * 41, out.begin() + (r + 1) * 41, sent.begin() + rank * 41)) << r;
  }
  EXPECT_EQ(out, in_place);
}

TEST_F(SmallCalls, ReduceScatterIsCut) {
  auto in = filled<float>(39 * size, rank);
  std::vector<float> out(39);

  Ticket ticket = world->post_reduce_scatter(view_of(in), view_of(out), ReduceOp::sum);
  world->wait(ticket);

  for (std::size_t i = 0; i < out.size(); ++i) {
    float expected = 0;
    for (int r = 0; r < size; ++r)
      expected += filled<float>(39 * size, r)[static_cast<std::size_t>(rank) * 39 + i];
    ASSERT_EQ(out[i], expected) << i;
  }
}

long available_mib() {
  std::ifstream info("/proc/meminfo");
  for (std::string key, unit; info >> key;) {
    long value = 0;
    info >> value >> unit;
    if (key == "MemAvailable:") return value / 1024;
  }
  return 0;
}

TEST(LargeCounts, MoreThan31BitsOfBytesArrive) {
  auto world = parallel::make_world_communicator();
  if (world->size() != 2) GTEST_SKIP() << "two ranks are enough for this much memory";
  constexpr std::int64_t count = (std::int64_t{1} << 31) + 12345;
  std::int64_t enough = available_mib() > 3000L * world->size();
  TensorView flag(&enough, DType::i64, {1});
  world->all_reduce(flag, ReduceOp::min);
  if (!enough) GTEST_SKIP() << "needs 3 GB of free memory a rank";
  std::unique_ptr<std::uint8_t, decltype(&std::free)> data(
      static_cast<std::uint8_t*>(std::calloc(static_cast<std::size_t>(count), 1)), &std::free);
  const std::int64_t places[] = {0, 1, (std::int64_t{1} << 31) - 1, std::int64_t{1} << 31, count - 1};
  if (world->rank() == 0) {
    for (std::int64_t place : places) data.get()[place] = static_cast<std::uint8_t>(place % 251 + 3);
  }

  world->broadcast(TensorView(data.get(), DType::u8, {count}), 0);

  for (std::int64_t place : places) EXPECT_EQ(data.get()[place], place % 251 + 3) << place;
}

}  // namespace
}  // namespace caravan

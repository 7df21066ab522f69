#include <gmock/gmock.h>

#include <numeric>

#include "parallel/process_mesh.hpp"
#include "parallel/staged_communicator.hpp"
#include "parallel/world.hpp"
#include "tests/parallel/filled.hpp"
#include "tests/support/apart_device.hpp"
#include "tests/support/message_of.hpp"

// Tensors in memory that the host cannot read, moved between ranks.
namespace caravan {
namespace {

using testing::ApartDevice;
using ::testing::HasSubstr;
using testing::message_of;

class Staged : public ::testing::Test {
 protected:
  Staged() : world_(parallel::make_world_communicator()), staged_(*world_, device_) {}
  ~Staged() override {
    for (void* block : blocks_) device_.release(block);
  }

  TensorView upload(const std::vector<float>& values) {
    const std::size_t bytes = values.size() * sizeof(float);
    blocks_.push_back(device_.allocate(bytes, "test"));
    device_.copy_from_host(Lane::compute, blocks_.back(), values.data(), bytes);
    return TensorView(blocks_.back(), DType::f32, {static_cast<std::int64_t>(values.size())});
  }
  TensorView room(std::int64_t count) {
    return upload(std::vector<float>(static_cast<std::size_t>(count), -1.0f));
  }
  std::vector<float> download(const TensorView& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.count()));
    device_.copy_to_host(Lane::compute, values.data(), tensor.data, tensor.bytes());
    device_.synchronize();
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

  ApartDevice device_;
  std::unique_ptr<Communicator> world_;
  parallel::StagedCommunicator staged_;
  std::vector<void*> blocks_;
};

TEST_F(Staged, AllReducesSeveralAtOnceInTheOrderOfTheirWaits) {
  std::vector<TensorView> tensors;
  std::vector<Ticket> tickets;
  for (std::int64_t count : {5, 1, 70'000}) {
    tensors.push_back(upload(filled<float>(count, rank())));
    tickets.push_back(staged_.post_all_reduce(tensors.back(), ReduceOp::sum));
  }
  for (std::size_t index = tickets.size(); index-- > 0;) staged_.wait(tickets[index]);

  for (const TensorView& tensor : tensors) EXPECT_EQ(download(tensor), sum_of_all(tensor.count()));
}

TEST_F(Staged, GathersScattersExchangesAndBroadcasts) {
  constexpr std::int64_t kBlock = 7;
  const TensorView mine = upload(filled<float>(kBlock, rank())), all = room(kBlock * size());
  staged_.all_gather(mine, all);
  EXPECT_EQ(download(all), blocks_of_all(kBlock, 0, kBlock));

  const TensorView blocks = upload(filled<float>(kBlock * size(), rank())), own = room(kBlock);
  Ticket ticket = staged_.post_reduce_scatter(blocks, own, ReduceOp::sum);
  staged_.wait(ticket);
  const auto sum = sum_of_all(kBlock * size());
  EXPECT_EQ(download(own),
            std::vector<float>(sum.begin() + kBlock * rank(), sum.begin() + kBlock * (rank() + 1)));

  const TensorView exchanged = room(kBlock * size());
  ticket = staged_.post_all_to_all(blocks, exchanged);
  staged_.wait(ticket);
  EXPECT_EQ(download(exchanged), blocks_of_all(kBlock * size(), kBlock * rank(), kBlock));

  staged_.broadcast(mine, size() - 1);
  EXPECT_EQ(download(mine), filled<float>(kBlock, size() - 1));
}

TEST_F(Staged, UnequalExchangeLeavesWhatLiesBehindTheRows) {
  // Every rank sends one row to rank 0, two to rank 1, …
  std::vector<std::int64_t> out(static_cast<std::size_t>(size())), in(out.size(), rank() + 1);
  std::iota(out.begin(), out.end(), 1);
  const std::int64_t sent = std::accumulate(out.begin(), out.end(), std::int64_t{0});
  const TensorView rows = upload(filled<float>(sent, rank())), received = room(size() * size() + 3);
  Ticket ticket = staged_.post_all_to_all_v(rows, out, received, in);
  staged_.wait(ticket);

  std::vector<float> expected = blocks_of_all(sent, rank() * (rank() + 1) / 2, rank() + 1);
  expected.resize(static_cast<std::size_t>(received.count()), -1.0f);
  EXPECT_EQ(download(received), expected);
}

TEST_F(Staged, SendsRoundTheRing) {
  if (size() == 1) GTEST_SKIP() << "one rank has nobody to send to";
  const int next = (rank() + 1) % size(), before = (rank() + size() - 1) % size();
  const TensorView mine = upload(filled<float>(9, rank())), theirs = room(9);
  Ticket received = staged_.post_recv(theirs, before, 1), sent = staged_.post_send(mine, next, 1);
  while (!staged_.test(received)) continue;
  staged_.wait(received);
  staged_.wait(sent);

  EXPECT_EQ(download(theirs), filled<float>(9, before));
}

TEST_F(Staged, SplitsIntoGroupsThatStageToo) {
  const auto part = staged_.split(rank() % 2, rank(), "half");
  const TensorView ones = upload({1, 2});
  part->all_reduce(ones, ReduceOp::sum);

  const auto members = static_cast<float>(part->size());
  EXPECT_EQ(download(ones), (std::vector<float>{members, 2 * members}));
}

TEST_F(Staged, RefusesATicketThatWasWaitedAndTensorsWithGaps) {
  if (size() == 1) GTEST_SKIP() << "one rank posts nothing";
  Ticket ticket = staged_.post_all_reduce(upload({1, 2}), ReduceOp::sum), stale(ticket.id());
  staged_.wait(ticket);
  EXPECT_THAT(message_of<CommError>([&] { staged_.wait(stale); }),
              HasSubstr("is not pending on group 'world'"));

  const TensorView square = upload({1, 2, 3, 4}).reshape({2, 2});
  EXPECT_THAT(message_of<CommError>([&] { staged_.all_reduce(square.slice(1, 0, 1), ReduceOp::sum); }),
              HasSubstr("a tensor [2, 1] that is not contiguous"));
}

TEST(TensorCommunicator, IsTheGroupItselfWhereTheDeviceWorksInHostMemory) {
  const auto world = parallel::make_world_communicator();
  const MeshLayout layout({.dp_replicate = world->size()}, world->size());
  class HostMemory : public ApartDevice {
    Memory memory() const override { return Memory::host; }
  } host;
  ApartDevice device;
  const auto host_mesh = parallel::make_process_mesh(*world, layout, host);
  const auto device_mesh = parallel::make_process_mesh(*world, layout, device);
  const RankGroup same = host_mesh->group(MeshAxis::batch), apart = device_mesh->group(MeshAxis::batch);

  EXPECT_EQ(&same.tensors, &same.host);
  EXPECT_EQ(&apart.tensors == &apart.host, world->size() == 1) << "nothing to move for one rank";
}

/// Says of each lane that it moves tensors itself.
class OwnCommunicators final : public ApartDevice {
 public:
  std::unique_ptr<Communicator> make_communicator(Communicator& bootstrap, Lane lane) override {
    lanes.push_back(lane);
    return bootstrap.split(0, bootstrap.rank(), "own");
  }
  std::vector<Lane> lanes;
};

TEST(TensorCommunicator, OfADeviceThatHasOneIsItsOwnInTheGroupsLane) {
  const auto world = parallel::make_world_communicator();
  OwnCommunicators device;
  const auto mesh =
      parallel::make_process_mesh(*world, MeshLayout({.pp = world->size()}, world->size()), device);
  if (world->size() == 1) {
    EXPECT_TRUE(device.lanes.empty());
    return;
  }
  EXPECT_EQ(mesh->group(MeshAxis::pp).tensors.name(), "own");
  EXPECT_EQ(device.lanes, std::vector<Lane>{Lane::pipeline});
}

}  // namespace
}  // namespace caravan

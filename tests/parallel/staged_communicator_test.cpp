#include <gmock/gmock.h>

#include "parallel/process_mesh.hpp"
#include "parallel/staged_communicator.hpp"
#include "tests/parallel/tensor_exchanges.hpp"
#include "tests/support/apart_device.hpp"
#include "tests/support/message_of.hpp"

// Tensors in memory that the host cannot read, moved between ranks.
namespace caravan {
namespace {

using testing::ApartDevice;
using ::testing::HasSubstr;
using testing::message_of;

class StagedBackend {
 public:
  explicit StagedBackend(Communicator& world) : staged_(world, device_) {}
  Device& device() { return device_; }
  Communicator& group() { return staged_; }
  std::string absent() const { return {}; }

 private:
  ApartDevice device_;
  parallel::StagedCommunicator staged_;
};
INSTANTIATE_TYPED_TEST_SUITE_P(ThroughHostMemory, TensorExchanges, StagedBackend);

using Staged = TensorExchanges<StagedBackend>;

TEST_F(Staged, RefusesATicketThatWasWaitedAndTensorsWithGaps) {
  if (size() == 1) GTEST_SKIP() << "one rank posts nothing";
  Communicator& staged = group();
  Ticket ticket = staged.post_all_reduce(upload({1, 2}), ReduceOp::sum), stale(ticket.id());
  staged.wait(ticket);
  EXPECT_THAT(message_of<CommError>([&] { staged.wait(stale); }),
              HasSubstr("is not pending on group 'world'"));

  const TensorView square = upload({1, 2, 3, 4}).reshape({2, 2});
  EXPECT_THAT(message_of<CommError>([&] { staged.all_reduce(square.slice(1, 0, 1), ReduceOp::sum); }),
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

/// A device that serves one rank only.
class Numbered final : public ApartDevice {
 public:
  explicit Numbered(std::string number) : number_(std::move(number)) {}
  std::string identity() const override { return number_; }
  std::string_view name() const override { return number_ == "other" ? "other" : kName; }

 private:
  std::string number_;
};

TEST(TensorCommunicator, TwoRanksOnOneDeviceAreRefusedUnlessItMayBeShared) {
  const auto world = parallel::make_world_communicator();
  const MeshLayout layout({.dp_replicate = world->size()}, world->size());
  Numbered own("GPU-" + std::to_string(world->rank())), same("GPU-7"), shared("");
  EXPECT_NO_THROW(parallel::make_process_mesh(*world, layout, own));
  EXPECT_NO_THROW(parallel::make_process_mesh(*world, layout, shared));
  if (world->size() == 1) return;
  EXPECT_THAT(message_of<DeviceError>([&] { parallel::make_process_mesh(*world, layout, same); }),
              HasSubstr("ranks 0 and 1 both use GPU-7 (device 'apart' serves one rank)"));
}

TEST(TensorCommunicator, RanksOnDifferentDevicesAreRefused) {
  const auto world = parallel::make_world_communicator();
  const MeshLayout layout({.dp_replicate = world->size()}, world->size());
  Numbered device(world->rank() == 1 ? "other" : "");
  if (world->size() == 1) return;
  EXPECT_THAT(message_of<DeviceError>([&] { parallel::make_process_mesh(*world, layout, device); }),
              HasSubstr("rank 1 works on device 'other' and rank 0 on 'apart'"));
}

}  // namespace
}  // namespace caravan

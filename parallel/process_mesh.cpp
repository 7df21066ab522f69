#include "parallel/process_mesh.hpp"

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "parallel/staged_communicator.hpp"

namespace caravan::parallel {
namespace {

constexpr std::size_t kTextBytes = 64;

/// Of every rank; what is longer is cut.
std::vector<std::string> gather_texts(Communicator& world, std::string own) {
  own.resize(kTextBytes - 1);
  std::vector<char> all(kTextBytes * static_cast<std::size_t>(world.size()));
  world.all_gather(TensorView(own.data(), DType::u8, {static_cast<std::int64_t>(kTextBytes)}),
                   TensorView(all.data(), DType::u8, {std::ssize(all)}));
  std::vector<std::string> texts;
  for (std::size_t begin = 0; begin < all.size(); begin += kTextBytes) texts.emplace_back(&all[begin]);
  return texts;
}

/// Ranks on different devices would wait for each other's exchanges in different places, and two on one GPU
/// for each other's kernels.
void check_devices(Communicator& world, const Device& device) {
  const auto names = gather_texts(world, std::string(device.name()));
  const auto identities = gather_texts(world, device.identity());
  for (std::size_t rank = 0; rank < names.size(); ++rank) {
    CARAVAN_CHECK(
        names[rank] == names[0], DeviceError,
        fmt::format("rank {} works on device '{}' and rank 0 on '{}' (all need the same). Has a host no "
                    "GPU, or not all plugins? Name the device in the job?",
                    rank, names[rank], names[0]));
    for (std::size_t other = 0; other < rank && !identities[rank].empty(); ++other) {
      CARAVAN_CHECK(
          identities[rank] != identities[other], DeviceError,
          fmt::format("ranks {} and {} both use {} (device '{}' serves one rank). Start one rank a GPU; "
                      "'caravan plugins describe device/{}' says how ranks may share one",
                      other, rank, identities[rank], names[rank], names[rank]));
    }
  }
}

}  // namespace

std::unique_ptr<Mesh> make_process_mesh(Communicator& world, MeshLayout layout, Device& device) {
  CARAVAN_EXPECT(layout.ranks() == world.size());
  if (world.size() > 1) check_devices(world, device);
  const auto split = [&](MeshAxis axis, const std::vector<int>& ranks) {
    auto host = world.split(ranks.front(), layout.coordinate(world.rank(), axis), MeshAxes(axis).name());
    auto tensors = make_tensor_communicator(*host, device, lane_of(axis));
    return Mesh::Group{std::move(host), std::move(tensors)};
  };
  return std::make_unique<Mesh>(layout, world.rank(), split);
}

}  // namespace caravan::parallel

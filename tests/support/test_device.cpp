#include "tests/support/test_device.hpp"

#include "caravan/error.hpp"

namespace caravan::test {

void prepare_shared_gpu(Registry& registry, Communicator& world) {
  std::string mine = registry.create<Device>("cuda", Host{}, Config::map())->identity();
  mine.resize(64);
  std::vector<char> all(64 * static_cast<std::size_t>(world.size()));
  world.all_gather(TensorView(mine.data(), DType::u8, {64}),
                   TensorView(all.data(), DType::u8, {std::ssize(all)}));
  bool is_shared = false;
  for (int rank = 0; rank < world.size(); ++rank)
    is_shared |= rank != world.rank() && mine == std::string(&all[64 * static_cast<std::size_t>(rank)], 64);
  if (!is_shared) return;
  setenv("NCCL_HOSTID", std::to_string(world.rank()).c_str(), 1);
  setenv("NCCL_NET", "Socket", 1);
  setenv("NCCL_SOCKET_IFNAME", "lo", 1);
}

std::string prepare_test_device(Registry& registry, Communicator& world) {
  if (test_device() != "cuda") return {};
  try {
    prepare_shared_gpu(registry, world);
    return {};
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace caravan::test

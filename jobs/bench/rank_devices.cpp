#include "jobs/bench/rank_devices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/bench/device_limits.hpp"
#include "jobs/setup/gather.hpp"

namespace caravan::jobs {
namespace {

FmaPeak peak_of_all(Device& device, Communicator& world) {
  if (device.memory() == Memory::host) return measure_peak_of_all(world);
  world.barrier();
  FmaPeak peak = measure_matrix_rate(device);
  world.all_reduce(TensorView(&peak.flops_per_s, DType::f64, {1}), ReduceOp::sum);
  return peak;
}

}  // namespace

RankDevices measure_rank_devices(Device& device, Communicator& world) {
  return {gather_texts(world, device.description()), peak_of_all(device, world)};
}

std::string device_lines(const std::vector<std::string>& all) {
  constexpr std::size_t kMost = 8;
  if (all.empty()) return {};
  std::string text = "device    " + all.front() + "\n";
  for (std::size_t rank = 1; rank < std::min(all.size(), kMost); ++rank)
    if (all[rank] != all.front()) text += fmt::format("          rank {}: {}\n", rank, all[rank]);
  if (all.size() > kMost) text += fmt::format("          … of {} ranks\n", all.size());
  return text;
}

}  // namespace caravan::jobs

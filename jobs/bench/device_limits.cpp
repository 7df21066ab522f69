#include "jobs/bench/device_limits.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "caravan/ops.hpp"
#include "jobs/bench/ops_memory.hpp"
#include "jobs/bench/ops_timing.hpp"

namespace caravan::jobs {
namespace {

/// FLOP/s of [size, size] × [size, size]ᵀ.
double product_rate(Device& device, std::int64_t size) {
  BenchMemory memory(device);
  const LinearForward args{
      memory.random({size, size}), memory.random({size, size}, 0.05f), {}, {}, memory.output({size, size})};
  const auto n = static_cast<double>(size);
  return 2 * n * n * n / median_seconds(device, [&] { device.ops().linear_forward(args); });
}

/// The cards that sit on a board of their own; those for a slot have other clocks and links.
bool is_sxm_hopper(std::string_view description) {
  const auto names = [&](std::string_view card) { return description.find(card) != std::string_view::npos; };
  return (names("NVIDIA H200") || names("NVIDIA H100")) && !names("PCIe") && !names("NVL");
}

}  // namespace

FmaPeak measure_matrix_rate(Device& device) {
  FmaPeak best;
  try {
    for (std::int64_t size : {4096, 8192}) {
      const double rate = product_rate(device, size);
      if (rate <= best.flops_per_s) continue;
      best = {rate, fmt::format("{0} x {0} x {0} matrix product in {1} on random data, median", size,
                                name_of(device.compute_dtype()))};
    }
  } catch (const DeviceError& error) {
    log_warning(error.what());
  }
  return best;
}

double measure_copy_bandwidth(Device& device, std::int64_t bytes) {
  BenchMemory memory(device);
  const std::int64_t count = std::max<std::int64_t>(bytes / 2 / 64, 1) * 16;
  const TensorView from = memory.random_f32({count}), to = memory.zeros(DType::f32, {count});
  const auto copy = [&] { device.copy(Lane::compute, to.data, from.data, from.bytes()); };
  return 2.0 * static_cast<double>(from.bytes()) / median_seconds(device, copy);
}

double datasheet_rate(std::string_view description) {
  return is_sxm_hopper(description) ? 989.4e12 : 0;
}

double datasheet_link_rate(std::string_view description) {
  return is_sxm_hopper(description) ? 450e9 : 0;
}

}  // namespace caravan::jobs

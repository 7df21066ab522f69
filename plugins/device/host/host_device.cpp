#include "host_device.hpp"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/log.hpp"
#include "memory.hpp"
#include "process.hpp"
#include "vec.hpp"

namespace caravan::host {
namespace {

/// Code for wider registers than this processor has would end with an illegal instruction.
void check_instruction_set() {
#if defined(__AVX512F__)
  CARAVAN_CHECK(__builtin_cpu_supports("avx512f"), DeviceError,
                "device 'host' was built for AVX-512 (this processor lacks it). Rebuild with "
                "-DCARAVAN_HOST_ARCHS=native?");
#elif defined(__AVX2__)
  CARAVAN_CHECK(__builtin_cpu_supports("avx2"), DeviceError,
                "device 'host' was built for AVX2 (this processor lacks it). Rebuild with "
                "-DCARAVAN_HOST_ARCHS=native?");
#endif
}

std::string processor_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

Team start_process(int threads) {
  check_instruction_set();
  start_kokkos();
  flush_denormals();
  const Team team(threads_of_rank(threads));
  if (team.threads() > usable_cores())
    log_warning(fmt::format(
        "device 'host': {} threads of a rank on {} core{} (a launcher may have tied the rank to them). "
        "mpirun --bind-to none, or fewer device_options.threads?",
        team.threads(), usable_cores(), usable_cores() == 1 ? "" : "s"));
  return team;
}

}  // namespace

HostDevice::HostDevice(const Host&, const Config& config)
    : team_(start_process(narrow<int>({"threads", config.get_int("threads")}))), ops_(team_) {}

std::string HostDevice::description() const {
  return fmt::format("{}, {} cores, {} thread{} a rank by {}, {}-bit vectors", processor_model(),
                     std::thread::hardware_concurrency(), team_.threads(), team_.threads() == 1 ? "" : "s",
                     team_.threads() <= Space::concurrency() ? Space::name() : "OpenMP", kLanes * 32);
}

void* HostDevice::allocate(std::size_t bytes, std::string_view what) {
  return host::allocate(bytes, what);
}

void HostDevice::release(void* data) noexcept {
  host::release(data);
}

void HostDevice::copy(Lane, void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void HostDevice::fill_zero(Lane, void* data, std::size_t bytes) {
  if (bytes > 0) std::memset(data, 0, bytes);
}

}  // namespace caravan::host

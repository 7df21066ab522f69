#pragma once

#include <string>
#include <string_view>

#include "caravan/device.hpp"
#include "caravan/plugin.hpp"
#include "host_ops.hpp"

namespace caravan::host {

/// The processor that this rank runs on. Work is done when a call returns, so lanes and events have nothing
/// to wait for.
class HostDevice final : public Device {
 public:
  using Interface = Device;
  static constexpr const char* kName = "host";
  static constexpr const char* kSummary = "The processor, with Kokkos and Eigen in fp32";
  static constexpr caravan_param kParams[] = {
      {"threads", "int", "0", "threads", "[0, 4096]",
       "Threads of a rank, which change no result; 0 takes OMP_NUM_THREADS, or 1 when that is not set"}};

  HostDevice(const Host& host, const Config& config);

  std::string_view name() const override { return kName; }
  std::string description() const override;
  Memory memory() const override { return Memory::host; }
  DType compute_dtype() const override { return DType::f32; }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view what) override;
  void release(void* data) noexcept override;
  void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) override {
    copy(lane, to, from, bytes);
  }
  void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) override {
    copy(lane, to, from, bytes);
  }
  void copy(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void fill_zero(Lane lane, void* data, std::size_t bytes) override;
  Event record(Lane) override { return {}; }
  void wait(Lane, Event) override {}
  void synchronize() override {}

 private:
  Team team_;
  HostOps ops_;
};

}  // namespace caravan::host

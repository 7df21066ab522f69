#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "caravan/device.hpp"
#include "caravan/plugin.hpp"
#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/events.hpp"
#include "plugins/device/cuda/device/staging.hpp"

namespace caravan::cuda {

/// One NVIDIA GPU for this rank. A lane is a stream. Small copies to and from host memory do not wait; large
/// ones do, for what is before them in their lane, unless they go to pinned memory.
class CudaDevice final : public Device {
 public:
  using Interface = Device;
  static constexpr const char* kName = "cuda";
  static constexpr const char* kSummary =
      "An NVIDIA GPU, with cuBLAS, cuDNN and own kernels in bf16 and fp32";
  static constexpr caravan_param kParams[] = {
      {"deterministic", "bool", "false", "", "",
       "Two runs agree to the bit; costs time and, a score of attention, 2 bytes in the backward pass"},
      {"exchanges", "auto|nccl|host", "auto", "", "",
       "How tensors travel between ranks. auto: by NCCL, every rank with a GPU of its own, where this build "
       "has "
       "it; nccl: without asking whether GPUs are shared; host: through host memory, which is slow"}};

  CudaDevice(const Host& host, const Config& config);

  std::string_view name() const override { return kName; }
  std::string description() const override;
  std::string identity() const override;
  std::string exchange_path() const override;
  Memory memory() const override { return Memory::device; }
  DType compute_dtype() const override { return DType::bf16; }
  Ops& ops() override { return ops_; }

  void* allocate(std::size_t bytes, std::string_view what) override;
  void release(void* data) noexcept override;
  std::optional<MemoryUse> memory_use() const override;

  std::string pin_host(void* data, std::size_t bytes) override;
  void unpin_host(void* data) noexcept override;
  void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy(Lane lane, void* to, const void* from, std::size_t bytes) override;
  void copy_rows(Lane lane, const TensorView& to, const TensorView& from) override;
  void fill_zero(Lane lane, void* data, std::size_t bytes) override;
  std::unique_ptr<Communicator> make_communicator(Communicator& bootstrap, Lane lane) override;
  std::optional<NativeLane> native_lane(Lane lane) override;
  [[nodiscard]] Event record(Lane lane) override;
  void wait(Lane lane, Event event) override;
  void synchronize() override;
  void await(Event event) override;
  std::unique_ptr<CapturedPosts> capture(std::function<void()> work) override;
  void start_recording() override;
  std::vector<DeviceActivity> stop_recording() override;

 private:
  /// The ring that an event belongs to, and its number there.
  std::pair<LaneEvents&, std::uint64_t> find(Event event);

  Context context_;
  Staging staging_;
  std::array<LaneEvents, kLanes> events_;
  CudaOps ops_;
  std::string exchanges_;
};

}  // namespace caravan::cuda

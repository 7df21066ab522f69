#include "plugins/device/cuda/device/cuda_device.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/native_lane.hpp"
#include "plugins/device/cuda/comm/make_communicator.hpp"
#include "plugins/device/cuda/device/captured_work.hpp"
#include "plugins/device/cuda/device/choose_gpu.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/library_versions.hpp"
#include "plugins/device/cuda/device/queries.hpp"
#include "plugins/device/cuda/device/recording.hpp"

namespace caravan::cuda {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024 * 1024);
}

MemoryUse current_use() {
  MemoryUse use;
  CARAVAN_CUDA_CHECK(cudaMemGetInfo(&use.free, &use.total));
  return use;
}

[[noreturn]] void out_of_memory(std::size_t bytes, std::string_view what) {
  (void)cudaGetLastError();
  const MemoryUse use = current_use();
  throw DeviceError(fmt::format(
      "{}: no {:.2f} GiB of device memory ({:.2f} of {:.2f} GiB are free). A smaller batch, recomputation or "
      "sharding?",
      what, gib(bytes), gib(use.free), gib(use.total)));
}

/// An event is number · kLanes + lane, the numbers of a lane counted from 1; 0 has already happened.
constexpr std::size_t index_of(Lane lane) {
  return static_cast<std::size_t>(lane);
}

}  // namespace

CudaDevice::CudaDevice(const Host&, const Config& config)
    : context_(choose_gpu(), config.get_bool("deterministic") ? Determinism::exact : Determinism::fast),
      staging_(context_.watch()),
      ops_(context_),
      exchanges_(config.get_string("exchanges")) {
  check_libraries();
  CARAVAN_CHECK(
      exchanges_ != "nccl" || has_own_exchanges(), DeviceError,
      "device 'cuda' was built without NCCL, and exchanges: nccl asks for it. Build where nccl.h is found "
      "(NCCL_HOME), or leave it to auto?");
}

/// Ranks that share a GPU would wait for each other's kernels, and NCCL refuses them.
std::string CudaDevice::identity() const {
  return exchanges_ == "auto" && has_own_exchanges() ? number_of_gpu(context_.ordinal()) : std::string();
}

std::string CudaDevice::exchange_path() const {
  return exchanges_ == "host" || !has_own_exchanges() ? std::string() : describe_exchanges();
}

std::unique_ptr<Communicator> CudaDevice::make_communicator(Communicator& bootstrap, Lane lane) {
  return exchanges_ == "host" ? nullptr : cuda::make_communicator(context_, bootstrap, lane);
}

std::string CudaDevice::description() const {
  return describe_gpu(context_.ordinal()) + ", " + describe_libraries() + ", " + describe_exchanges();
}

void* CudaDevice::allocate(std::size_t bytes, std::string_view what) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes == 0 ? 1 : bytes);
  if (error == cudaErrorMemoryAllocation) out_of_memory(bytes, what);
  CARAVAN_CUDA_CHECK(error);
  return data;
}

/// To free waits for the GPU.
void CudaDevice::release(void* data) noexcept {
  if (!context_.watch().is_given_up()) cudaFree(data);
}

std::optional<MemoryUse> CudaDevice::memory_use() const {
  return current_use();
}

std::string CudaDevice::pin_host(void* data, std::size_t bytes) {
  const cudaError_t error = bytes == 0 ? cudaSuccess : cudaHostRegister(data, bytes, cudaHostRegisterDefault);
  if (error == cudaSuccess) return "";
  (void)cudaGetLastError();  // an answer, not a failure of what comes next
  return cudaGetErrorString(error);
}

void CudaDevice::unpin_host(void* data) noexcept {
  if (cudaHostUnregister(data) != cudaSuccess) (void)cudaGetLastError();
}

void CudaDevice::copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) staging_.to_host(context_.stream(lane), to, from, bytes);
}

void CudaDevice::copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) staging_.to_device(context_.stream(lane), to, from, bytes);
}

void CudaDevice::copy(Lane lane, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  CARAVAN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, context_.stream(lane)));
}

void CudaDevice::copy_rows(Lane lane, const TensorView& to, const TensorView& from) {
  if (to.count() == 0) return;
  if (to.extent(0) == 1) return copy(lane, to.data, from.data, to.bytes());  // a pitch is less than 2 GiB
  const std::size_t element = size_of(to.dtype), width = static_cast<std::size_t>(to.extent(1)) * element;
  const auto pitch = [&](const TensorView& rows) {
    return static_cast<std::size_t>(rows.stride(0)) * element;
  };
  CARAVAN_CUDA_CHECK(cudaMemcpy2DAsync(to.data, pitch(to), from.data, pitch(from), width,
                                       static_cast<std::size_t>(to.extent(0)), cudaMemcpyDeviceToDevice,
                                       context_.stream(lane)));
}

void CudaDevice::fill_zero(Lane lane, void* data, std::size_t bytes) {
  if (bytes == 0) return;
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, context_.stream(lane)));
}

std::optional<NativeLane> CudaDevice::native_lane(Lane lane) {
  return NativeLane{CudaStream::kName, context_.stream(lane)};
}

Event CudaDevice::record(Lane lane) {
  return {events_[index_of(lane)].record(context_.stream(lane)) * kLanes + index_of(lane)};
}

void CudaDevice::wait(Lane lane, Event event) {
  if (event.id == 0) return;
  const auto [events, number] = find(event);
  events.wait(context_.stream(lane), number);
}

std::pair<LaneEvents&, std::uint64_t> CudaDevice::find(Event event) {
  return {events_[event.id % kLanes], event.id / kLanes};
}

void CudaDevice::await(Event event) {
  if (event.id != 0) {
    const auto [events, number] = find(event);
    context_.watch().wait_until([&] { return events.has_happened(number); });
  }
  staging_.deliver_arrived();
}

void CudaDevice::synchronize() {
  for (const cudaStream_t stream : context_.streams())
    context_.watch().wait_until([&] { return is_idle(stream); });
  staging_.deliver();
}

std::unique_ptr<CapturedPosts> CudaDevice::capture(std::function<void()> work) {
  return std::make_unique<CapturedWork>(context_, std::move(work));
}

void CudaDevice::start_recording() {
  synchronize();
  cuda::start_recording();
}

std::vector<DeviceActivity> CudaDevice::stop_recording() {
  synchronize();
  return cuda::stop_recording();
}

}  // namespace caravan::cuda

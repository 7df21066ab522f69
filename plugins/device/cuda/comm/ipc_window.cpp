#include "plugins/device/cuda/comm/ipc_window.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <new>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/log.hpp"
#include "plugins/device/cuda/device/choose_gpu.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/queries.hpp"

namespace caravan::cuda {
namespace {

/// Where a rank's GPU is.
struct Whereabouts {
  std::array<char, 128> host{}, gpu{};
};

Whereabouts own_whereabouts(const Context& context) {
  Whereabouts own;
  ::gethostname(own.host.data(), own.host.size() - 1);
  const std::string number = number_of_gpu(context.ordinal());
  number.copy(own.gpu.data(), own.gpu.size() - 1);
  return own;
}

template <class T>
std::vector<T> gather(Communicator& group, T own) {
  std::vector<T> all(static_cast<std::size_t>(group.size()));
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  group.all_gather(TensorView(&own, DType::u8, {kBytes}),
                   TensorView(all.data(), DType::u8, {group.size() * kBytes}));
  return all;
}

/// Why this GPU does not reach the one there; empty where it does.
std::string why_not_reached(const Context& context, const Whereabouts& there, const Whereabouts& here) {
  if (std::string(there.host.data()) != here.host.data())
    return fmt::format("a rank is on host {} and another on {}", here.host.data(), there.host.data());
  if (std::string(there.gpu.data()) == here.gpu.data()) return {};
  int count = 0;
  CARAVAN_CUDA_CHECK(cudaGetDeviceCount(&count));
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    if (number_of_gpu(ordinal) != there.gpu.data()) continue;
    int can = 0;
    CARAVAN_CUDA_CHECK(cudaDeviceCanAccessPeer(&can, context.ordinal(), ordinal));
    return can != 0 ? std::string() : fmt::format("{} does not reach {}", here.gpu.data(), there.gpu.data());
  }
  return fmt::format("{} is not visible to the rank of {} (CUDA_VISIBLE_DEVICES)", there.gpu.data(),
                     here.gpu.data());
}

/// The first text that is not empty, on all ranks.
std::string first_of_all(Communicator& group, const std::string& own) {
  std::array<char, 256> text{};
  own.copy(text.data(), text.size() - 1);
  for (const auto& theirs : gather(group, text))
    if (theirs[0] != '\0') return theirs.data();
  return {};
}

/// CUDA maps blocks of 2 MiB: a window shares none with other memory of this process.
std::size_t bytes_to_map(std::size_t bytes) {
  constexpr std::size_t kBlock = std::size_t{2} << 20;
  return checked_sum(bytes, kBlock - 1, "a window between GPUs") / kBlock * kBlock;
}

std::byte* allocate_window(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) (void)cudaGetLastError();
  CARAVAN_CHECK(
      error != cudaErrorMemoryAllocation, DeviceError,
      fmt::format("no {} bytes of device memory for a window between ranks. A smaller micro-batch, or "
                  "model.dispatch: all_to_all?",
                  bytes));
  CARAVAN_CUDA_CHECK(error);
  return static_cast<std::byte*>(memory);
}

}  // namespace

std::string why_not_mapped(const Context& context, Communicator& bootstrap) {
  const Whereabouts here = own_whereabouts(context);
  std::string why;
  if (bootstrap.size() > kMostMeeting)
    why = fmt::format("{} ranks (meetings are of at most {})", bootstrap.size(), kMostMeeting);
  for (const Whereabouts& there : gather(bootstrap, here))
    if (why.empty()) why = why_not_reached(context, there, here);
  return first_of_all(bootstrap, why);
}

IpcWindow::IpcWindow(Context& context, Communicator& bootstrap, std::size_t bytes, double timeout_s)
    : context_(context),
      bootstrap_(bootstrap),
      rank_(bootstrap.rank()),
      bytes_(bytes),
      timeout_s_(timeout_s),
      parts_(static_cast<std::size_t>(bootstrap.size())) {
  const std::size_t all = bytes_to_map(checked_sum(numbers_bytes(), bytes, "a window between GPUs"));
  std::byte* const own = allocate_window(all);
  CARAVAN_CUDA_CHECK(cudaMemset(own, 0, all));
  CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
  void* missing = nullptr;
  CARAVAN_CUDA_CHECK(cudaHostAlloc(&missing, sizeof *missing_, cudaHostAllocMapped));
  missing_ = new (missing) std::uint64_t(0);
  map(own);
  describe_meetings();
  context_.watch().add(this, [this] { check(); });
}

void IpcWindow::map(std::byte* own) {
  cudaIpcMemHandle_t handle{};
  CARAVAN_CUDA_CHECK(cudaIpcGetMemHandle(&handle, own));
  const auto handles = gather(bootstrap_, handle);
  for (int rank = 0; rank < size(); ++rank) {
    void* part = own;
    if (rank != rank_)
      CARAVAN_CUDA_CHECK(cudaIpcOpenMemHandle(&part, handles[static_cast<std::size_t>(rank)],
                                              cudaIpcMemLazyEnablePeerAccess));
    parts_[static_cast<std::size_t>(rank)] = static_cast<std::byte*>(part);
  }
  bootstrap_.barrier();
}

void IpcWindow::describe_meetings() {
  meeting_.rank = rank_;
  meeting_.ranks = size();
  meeting_.timeout_ns = static_cast<std::uint64_t>(timeout_s_ * 1e9);
  meeting_.missing = missing_;
  for (int rank = 0; rank < size(); ++rank) meeting_.numbers[rank] = parts_[static_cast<std::size_t>(rank)];
  std::byte* const behind = meeting_.numbers[rank_] + kNumberBytes * parts_.size();
  meeting_.is_over = reinterpret_cast<std::uint64_t*>(behind);
  meeting_.tickets = reinterpret_cast<unsigned*>(behind + kNumberBytes);
  meeting_.readers = reinterpret_cast<std::uint64_t*>(behind + 2 * kNumberBytes);
}

/// Nobody frees memory that another still writes to. While an exception unwinds the others may never come,
/// and the GPU may never be done: the process ends with what it has.
IpcWindow::~IpcWindow() {
  context_.watch().remove(this);
  if (context_.watch().is_given_up()) return;
  try {
    context_.watch().wait_until([&] { return is_idle(context_.stream()); });
    check();
    for (int rank = 0; rank < size(); ++rank)
      if (rank != rank_) CARAVAN_CUDA_CHECK(cudaIpcCloseMemHandle(parts_[static_cast<std::size_t>(rank)]));
    bootstrap_.barrier();
  } catch (const Error& error) {
    log_local(LogLevel::error, "a window between ranks goes away: " + error.message());
  }
  cudaFree(parts_[static_cast<std::size_t>(rank_)]);
  cudaFreeHost(missing_);
}

std::byte* IpcWindow::part(int rank) const {
  return parts_[static_cast<std::size_t>(rank)] + numbers_bytes();
}

PeerMeeting IpcWindow::next_meeting() {
  return {++met_, &meeting_};
}

void IpcWindow::meet() {
  post_meeting(meeting_of(next_meeting()), context_.stream());
}

void IpcWindow::check() const {
  const std::uint64_t missing = std::atomic_ref(*missing_).load();
  if (missing == 0) return;
  std::vector<int> ranks;
  for (int rank = 0; rank < size(); ++rank)
    if ((missing >> rank & 1) != 0) ranks.push_back(bootstrap_.world_rank(rank));
  throw CommError(missing_text({bootstrap_.name(), bootstrap_.world_rank(rank_), met_, timeout_s_}, ranks));
}

}  // namespace caravan::cuda

#include "plugins/device/cuda/comm/ipc_window.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <exception>
#include <new>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "plugins/device/cuda/device/choose_gpu.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

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
  const std::size_t all = checked_sum(numbers_bytes(), bytes, "a window between GPUs");
  void* own = nullptr;
  CARAVAN_CUDA_CHECK(cudaMalloc(&own, all));
  CARAVAN_CUDA_CHECK(cudaMemset(own, 0, all));
  CARAVAN_CUDA_CHECK(cudaDeviceSynchronize());
  void* missing = nullptr;
  CARAVAN_CUDA_CHECK(cudaHostAlloc(&missing, sizeof *missing_, cudaHostAllocMapped));
  missing_ = new (missing) std::uint64_t(0);
  map(static_cast<std::byte*>(own));
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

/// Nobody frees memory that another still writes to; while an exception unwinds the others may never come.
IpcWindow::~IpcWindow() {
  context_.watch().remove(this);
  cudaStreamSynchronize(context_.stream());
  for (int rank = 0; rank < size(); ++rank)
    if (rank != rank_) cudaIpcCloseMemHandle(parts_[static_cast<std::size_t>(rank)]);
  if (std::uncaught_exceptions() == 0) bootstrap_.barrier();
  cudaFree(parts_[static_cast<std::size_t>(rank_)]);
  cudaFreeHost(missing_);
}

std::byte* IpcWindow::part(int rank) const {
  return parts_[static_cast<std::size_t>(rank)] + numbers_bytes();
}

void IpcWindow::meet() {
  Meeting meeting{.numbers = {},
                  .rank = rank_,
                  .ranks = size(),
                  .number = ++met_,
                  .timeout_ns = static_cast<std::uint64_t>(timeout_s_ * 1e9),
                  .missing = missing_};
  for (int rank = 0; rank < size(); ++rank) meeting.numbers[rank] = parts_[static_cast<std::size_t>(rank)];
  post_meeting(meeting, context_.stream());
}

void IpcWindow::check() const {
  const std::uint64_t missing = std::atomic_ref(*missing_).load();
  if (missing == 0) return;
  std::string ranks;
  for (int rank = 0; rank < size(); ++rank) {
    if ((missing >> rank & 1) != 0) ranks += fmt::format("{}{}", ranks.empty() ? "" : ", ", rank);
  }
  throw CommError(
      fmt::format("rank {} of group '{}' waits for rank {} at a meeting of its GPUs ({:g} s are over). Has "
                  "it ended, or is it slower by so much?",
                  rank_, bootstrap_.name(), ranks, timeout_s_));
}

}  // namespace caravan::cuda

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/peer_window.hpp"
#include "plugins/device/cuda/comm/meeting.hpp"
#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// [collective over `bootstrap`] Why not every GPU of its ranks can write to every other's memory, the same
/// on all ranks; empty where they can: all are on one host, visible to all processes, and reach each other.
std::string why_not_mapped(const Context& context, Communicator& bootstrap);

/// Memory of GPUs of one host, each part mapped into every process (CUDA IPC). Meetings are kernels on the
/// compute lane, or parts of kernels there: the host waits for none, and learns of a rank that did not come
/// when it next waits for the GPU.
class IpcWindow final : public PeerWindow {
 public:
  /// [collective over `bootstrap`] Borrows both. DeviceError where there is no memory.
  IpcWindow(Context& context, Communicator& bootstrap, std::size_t bytes, double timeout_s);
  ~IpcWindow() override;
  IpcWindow(const IpcWindow&) = delete;
  IpcWindow& operator=(const IpcWindow&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(parts_.size()); }
  std::size_t bytes() const override { return bytes_; }
  std::byte* part(int rank) const override;
  void meet() override;
  PeerMeeting next_meeting() override;

 private:
  /// Of all ranks, whether it is over, tickets, and who reads.
  std::size_t numbers_bytes() const { return kNumberBytes * (parts_.size() + 3); }
  void map(std::byte* own);
  void describe_meetings();
  /// Throws CommError when a rank did not come to a meeting.
  void check() const;

  Context& context_;
  Communicator& bootstrap_;
  int rank_;
  std::size_t bytes_;
  double timeout_s_;
  std::vector<std::byte*> parts_;  ///< where the numbers of meetings begin, and the memory behind them
  Meeting meeting_{};              ///< every one of this window, without its number
  std::uint64_t met_ = 0;
  std::uint64_t* missing_ = nullptr;  ///< in memory of the host that the GPU writes to: a bit for each rank
};

}  // namespace caravan::cuda

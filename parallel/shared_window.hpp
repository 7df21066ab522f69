#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/peer_window.hpp"

namespace caravan::parallel {

/// Why the ranks of `comm` have no memory in common: not all are on one host. Empty where they are.
/// [collective]
std::string why_not_shared(MPI_Comm comm);

/// Memory that the processes of one host share. A meeting is a number that each writes into every other's
/// part; while it waits, other communication goes on. Time in which the process is stopped does not count.
class SharedWindow final : public PeerWindow {
 public:
  /// [collective over `comm`, whose ranks are on one host, and of which `group` is the communicator; both
  /// outlive it] CommError where the host has not so much memory to share.
  SharedWindow(MPI_Comm comm, const Communicator& group, std::size_t bytes, double timeout_s);
  ~SharedWindow() override;
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::size_t bytes() const override { return bytes_; }
  std::byte* part(int rank) const override { return parts_[static_cast<std::size_t>(rank)]; }
  void meet() override;

 private:
  using Number = std::atomic<std::uint64_t>;
  static_assert(Number::is_always_lock_free, "numbers of meetings are shared by processes");
  static constexpr std::size_t kNumberBytes = 64;  ///< a cache line each

  /// At how many meetings `from` has said in the part of `of` that it has come.
  Number& meetings(int of, int from) const;
  bool have_all_come() const;
  /// CommError with those that have not come.
  void check_missing() const;

  MPI_Comm comm_;
  const Communicator& group_;
  std::size_t bytes_;
  double timeout_s_;
  int rank_ = 0, size_ = 0;
  MPI_Win memory_ = MPI_WIN_NULL;
  std::vector<std::byte*> parts_;  ///< behind the numbers
  std::uint64_t met_ = 0;
};

}  // namespace caravan::parallel

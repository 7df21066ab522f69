#include "parallel/shared_window.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "parallel/mpi_call.hpp"

namespace caravan::parallel {
namespace {

/// How many groups like this one there may be on this host, all of which ask for memory at once.
std::size_t groups_of_host(MPI_Comm comm) {
  int ranks = 0;
  MPI_Comm_size(comm, &ranks);
  for (const char* variable : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}) {
    const char* text = std::getenv(variable);
    const long all = text ? std::strtol(text, nullptr, 10) : 0;
    if (all >= ranks) return static_cast<std::size_t>(all / ranks);
  }
  return 1;
}

/// Where Open MPI and MPICH keep shared memory. What does not fit there is found out at the first touch, by a
/// bus error.
void check_room(MPI_Comm comm, const std::string& group, std::size_t bytes) {
  check_mpi(MPI_Barrier(comm), "MPI_Barrier", group);  // a window that was here before is gone everywhere
  int is_short = 0;
  struct statvfs room {};
  const std::size_t free =
      ::statvfs("/dev/shm", &room) == 0 ? static_cast<std::size_t>(room.f_bavail) * room.f_frsize : bytes;
  is_short = free / groups_of_host(comm) < bytes ? 1 : 0;
  int anywhere = 0;
  check_mpi(MPI_Allreduce(&is_short, &anywhere, 1, MPI_INT, MPI_MAX, comm), "MPI_Allreduce", group);
  CARAVAN_CHECK(
      anywhere == 0, CommError,
      fmt::format("group '{}' shares {} bytes of memory ({} are free in /dev/shm, for {} such groups). A "
                  "larger /dev/shm, a smaller micro-batch, or model.dispatch: all_to_all?",
                  group, bytes, free, groups_of_host(comm)));
}

}  // namespace

std::string why_not_shared(MPI_Comm comm) {
  MPI_Comm host = MPI_COMM_NULL;
  int all = 0, here = 0;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host), "MPI_Comm_split_type",
            "");
  MPI_Comm_size(comm, &all);
  MPI_Comm_size(host, &here);
  MPI_Comm_free(&host);
  int fewest = 0;
  check_mpi(MPI_Allreduce(&here, &fewest, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce", "");
  return fewest == all ? std::string() : fmt::format("its {} ranks are on several hosts", all);
}

SharedWindow::SharedWindow(MPI_Comm comm, const Communicator& group, std::size_t bytes, double timeout_s)
    : comm_(comm), group_(group), timeout_s_(timeout_s) {
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  constexpr std::size_t kLine = 64;
  constexpr std::string_view kWhat = "memory of a group's window";
  bytes_ = checked_sum(bytes, kLine - 1, kWhat) / kLine * kLine;
  const std::size_t numbers = kNumberBytes * static_cast<std::size_t>(size_);
  const std::size_t one = checked_sum(bytes_, numbers + kLine, kWhat);
  check_room(comm_, group_.name(), checked_product(one, static_cast<std::size_t>(size_), kWhat));
  std::byte* own = nullptr;
  try {
    check_mpi(MPI_Win_allocate_shared(static_cast<MPI_Aint>(one), 1, MPI_INFO_NULL, comm_, &own, &memory_),
              "MPI_Win_allocate_shared", group_.name());
  } catch (const CommError& error) {
    throw CommError(error.message() + ". model.dispatch: all_to_all needs no memory in common");
  }
  check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, memory_), "MPI_Win_lock_all", group_.name());
  for (int rank = 0; rank < size_; ++rank) {
    MPI_Aint size = 0;
    int unit = 0;
    std::byte* begin = nullptr;
    check_mpi(MPI_Win_shared_query(memory_, rank, &size, &unit, &begin), "MPI_Win_shared_query",
              group_.name());
    // MPI aligns to 8 bytes. All processes see the memory at the same distance from the begin of a page.
    const std::size_t beyond = reinterpret_cast<std::uintptr_t>(begin) % kLine;
    parts_.push_back(begin + (kLine - beyond) % kLine + numbers);
  }
  std::memset(own, 0, one);
  for (int from = 0; from < size_; ++from) new (&meetings(rank_, from)) Number(0);
  check_mpi(MPI_Barrier(comm_), "MPI_Barrier", group_.name());
}

/// While an exception unwinds the others may never come to a collective free.
SharedWindow::~SharedWindow() {
  if (std::uncaught_exceptions() > 0) return;
  MPI_Win_unlock_all(memory_);
  MPI_Win_free(&memory_);
}

SharedWindow::Number& SharedWindow::meetings(int of, int from) const {
  std::byte* const numbers = part(of) - kNumberBytes * static_cast<std::size_t>(size_);
  return *std::launder(reinterpret_cast<Number*>(numbers + kNumberBytes * static_cast<std::size_t>(from)));
}

bool SharedWindow::have_all_come() const {
  for (int from = 0; from < size_; ++from)
    if (meetings(rank_, from).load(std::memory_order_acquire) < met_) return false;
  return true;
}

void SharedWindow::meet() {
  ++met_;
  for (int to = 0; to < size_; ++to) meetings(to, rank_).store(met_, std::memory_order_release);
  using Clock = std::chrono::steady_clock;
  constexpr int kQuick = 200;  // a microsecond or two of asking before anybody else gets the core
  constexpr double kLongestStep =
      1;  // seconds between two looks at the clock; longer, and the process was stopped
  double waited_s = 0;
  auto last = Clock::now();
  for (int asked = 0; !have_all_come(); asked = std::min(asked + 1, kQuick)) {
    if (asked < kQuick) continue;
    // Looking for a message in vain drives what else is under way, which another rank may wait for. A rank
    // sends itself none; one from another that waits here would be found, and nothing driven.
    int is_there = 0;
    check_mpi(MPI_Iprobe(rank_, MPI_ANY_TAG, comm_, &is_there, MPI_STATUS_IGNORE), "MPI_Iprobe",
              group_.name());
    ::sched_yield();
    const auto now = Clock::now();
    waited_s += std::min(std::chrono::duration<double>(now - std::exchange(last, now)).count(), kLongestStep);
    if (waited_s >= timeout_s_) check_missing();
  }
}

void SharedWindow::check_missing() const {
  std::vector<int> ranks;
  for (int from = 0; from < size_; ++from)
    if (meetings(rank_, from).load(std::memory_order_acquire) < met_)
      ranks.push_back(group_.world_rank(from));
  CARAVAN_CHECK(ranks.empty(), CommError,
                missing_text({group_.name(), group_.world_rank(rank_), met_, timeout_s_}, ranks));
}

}  // namespace caravan::parallel

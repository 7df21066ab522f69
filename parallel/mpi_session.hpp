#pragma once

#include <exception>
#include <functional>
#include <string>

#include "caravan/error.hpp"

namespace caravan::parallel {

/// MPI from construction to destruction. One object a process; every rank constructs it.
/// When the destructor runs because an exception escapes, it aborts the job: finalising would wait for ever
/// for ranks that wait for this one. Prefer `run_with_mpi`, which also keeps the exit code and prints the
/// message.
class MpiSession {
 public:
  /// Calls MPI_Init_thread (funneled: only the thread that constructs may call MPI). CommError when MPI
  /// cannot start.
  MpiSession(int& argc, char**& argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }

  /// Ends all ranks within seconds with the error's exit code; its message is the last thing that the user
  /// sees.
  [[noreturn]] void fail(const std::exception& error) noexcept;
  /// Ends all ranks with `code` and no further message.
  [[noreturn]] void abort(int code) noexcept;

 private:
  int rank_ = 0;
  int size_ = 1;
  int exceptions_before_;
};

/// Ends all ranks with `code` from a thread that watches one which hangs, maybe inside MPI. [any thread]
/// MPI_Abort alone keeps a code under srun, and Open MPI's only asks the launcher, so it works although MPI
/// runs funneled; where it does not return within seconds, this process ends by itself.
[[noreturn]] void end_all_ranks(int code) noexcept;

/// Runs `body` between MPI's start and end, and gives the exit code for `main`.
/// An exception on any rank ends all ranks with its exit code and its message last (MpiSession::fail).
/// A code other than 0 that `body` returns must be agreed by all ranks; it survives mpirun and srun.
int run_with_mpi(int& argc, char**& argv, const std::function<int(MpiSession&)>& body);

/// What a process that ends with `error` says and returns; paths that cannot be read are bad input.
std::string text_of(const std::exception& error);
int exit_code_of(const std::exception& error) noexcept;

}  // namespace caravan::parallel

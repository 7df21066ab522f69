#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "caravan/error.hpp"
#include "io/files/file.hpp"

namespace caravan::io {

/// Of a run's folder: the token of the process that owns it.
inline constexpr const char* kGenerationFile = "generation.json";

/// Who writes to a run's folder.
struct RunOwner {
  std::string host;
  std::int64_t process = 0;
  std::string batch_job;      ///< of the batch system; empty outside one
  std::int64_t restarts = 0;  ///< of that job so far

  /// This process; SLURM_JOB_ID and SLURM_RESTART_COUNT where they are set.
  static RunOwner here();
};

/// Another process has become the run's owner.
class TakenOver final : public IoError {
 public:
  using IoError::IoError;
};

/// How often a file of a run that cannot be read is tried again: network file systems fail for a moment.
struct Patience {
  int tries = 10;
  std::chrono::milliseconds pause{300};
};

/// The right to write to a run's folder: a lock that the kernel gives back when its holder dies, and a
/// generation, a token of which only the newest counts. The token is the fence against a process that the
/// batch system has given up but that still runs behind a broken network: its lock may be anywhere, its token
/// is old, and it may not commit any more.
class RunLock {
 public:
  /// IoError naming the owner when another living process holds the folder, unless that is the same batch
  /// job before its restart.
  RunLock(const std::string& run, const RunOwner& owner);

  const std::string& generation() const noexcept { return generation_; }
  /// TakenOver when another generation stands in the folder. IoError when that cannot be told in spite of
  /// patience. A generation that is missing while this process holds the lock is written again, with a
  /// warning.
  void check(const Patience& patience = {}) const;

 private:
  std::string run_;
  RunOwner owner_;
  std::string generation_;
  std::optional<File> lock_;  // empty where the former holder is alive but superseded
};

}  // namespace caravan::io

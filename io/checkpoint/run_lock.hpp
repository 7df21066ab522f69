#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/files/file.hpp"

namespace caravan::io {

/// Who writes to a run's folder.
struct RunOwner {
  std::string host;
  std::int64_t process = 0;
  std::string batch_job;      ///< of the batch system; empty outside one
  std::int64_t restarts = 0;  ///< of that job so far

  /// This process; SLURM_JOB_ID and SLURM_RESTART_COUNT where they are set.
  static RunOwner here();
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
  /// IoError when a newer generation has taken the folder.
  void check() const;

 private:
  std::string run_;
  std::string generation_;
  std::optional<File> lock_;  // empty where the former holder is alive but superseded
};

}  // namespace caravan::io

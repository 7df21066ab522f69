#pragma once

#include <cstdint>

namespace caravan::io {

/// What a child process may use; it writes no file at all.
struct IsolationLimits {
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;
  std::uint64_t cpu_s = 20;  ///< processor time of one answer
  unsigned wait_s = 60;      ///< for one answer
};

/// Whether this build can restrict system calls (libseccomp was found).
bool has_sandbox() noexcept;

/// [once, in a child process] From now on this process can use what memory the limits leave it and the
/// processor time of one answer (its parent may grant more), read and write `channel`, and nothing else:
/// opening a file fails, any other system call (a socket, a new process, memory that can be executed) kills
/// it. IoError when the kernel refuses.
void enter_sandbox(int channel, const IsolationLimits& limits);

}  // namespace caravan::io

#include "jobs/watch/stop_request.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace caravan::jobs {
namespace {

constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT, SIGPIPE, SIGHUP};

// A signal handler has no other way to speak to the program.
volatile std::sig_atomic_t received = 0;
volatile std::sig_atomic_t is_listening = 0;
/// Flags that standard error had, where it was made to wait no more for all that share it; -1: it was not.
volatile std::sig_atomic_t shared_flags = -1;

bool is_pipe_or_socket(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

/// A pipe can be opened once more, so that it waits no more for this process alone. O_NONBLOCK belongs to all
/// that were given the same opening: a shell, and programs beside this one.
bool open_again_without_waiting() {
  const int own = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY);
  if (own < 0) return false;
  const bool is_ours = ::dup2(own, STDERR_FILENO) >= 0;
  ::close(own);
  return is_ours;
}

/// Whoever should read messages may stand still: mpirun reads nothing while it ends its ranks, and a rank
/// that waits for room in the pipe could not save. Standard output is no matter: what holds a run up there
/// is an answer that somebody wants whole.
void stop_waiting_for_readers() {
  if (!is_listening || shared_flags >= 0 || !is_pipe_or_socket(STDERR_FILENO)) return;
  const int flags = ::fcntl(STDERR_FILENO, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) != 0 || open_again_without_waiting()) return;
  shared_flags = flags;
  ::fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
}

void remember(int signal) {
  const int error = errno;
  if (received == 0) received = signal;
  stop_waiting_for_readers();
  errno = error;
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  for (int other : kSignals) ::sigaddset(&action.sa_mask, other);  // one changes the outputs at a time
  ::sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

StopRequest::StopRequest() {
  received = 0;
  is_listening = 1;
  for (int signal : kSignals) {
    if (signal == SIGHUP && is_ignored(signal)) continue;  // nohup: the terminal's end is no wish
    const int once = signal == SIGINT ? SA_RESETHAND : 0;  // the second one finds the default: it ends
    handle(signal, &remember, SA_RESTART | once);
  }
}

/// Others that share standard error find it as it was.
StopRequest::~StopRequest() {
  is_listening = 0;
  if (shared_flags >= 0) ::fcntl(STDERR_FILENO, F_SETFL, static_cast<int>(shared_flags));
  shared_flags = -1;
}

int StopRequest::signal() const noexcept {
  return received;
}

int StopRequest::agreed(Communicator& world) const {
  std::int32_t any = received;
  world.all_reduce(TensorView(&any, DType::i32, {1}), ReduceOp::max);
  return any;
}

}  // namespace caravan::jobs

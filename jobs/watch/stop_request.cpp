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

/// Whoever should read the output may stand still: mpirun reads nothing while it ends its ranks, and a rank
/// that waits for room in the pipe could not save.
void stop_waiting_for_readers() {
  for (int output : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat status {};
    if (::fstat(output, &status) != 0 || !(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))) continue;
    ::fcntl(output, F_SETFL, ::fcntl(output, F_GETFL) | O_NONBLOCK);
  }
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
  ::sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

StopRequest::StopRequest() {
  received = 0;
  for (int signal : kSignals) {
    if (signal == SIGHUP && is_ignored(signal)) continue;  // nohup: the terminal's end is no wish
    const int once = signal == SIGINT ? SA_RESETHAND : 0;  // the second one finds the default: it ends
    handle(signal, &remember, SA_RESTART | once);
  }
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

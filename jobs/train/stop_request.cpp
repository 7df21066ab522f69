#include "jobs/train/stop_request.hpp"

#include <array>
#include <csignal>

namespace caravan::jobs {
namespace {

constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};

// A signal handler has no other way to speak to the program.
volatile std::sig_atomic_t received = 0;

void remember(int signal) {
  received = signal;
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

StopRequest::StopRequest() {
  received = 0;
  for (int signal : kSignals) {
    const int once = signal == SIGINT ? SA_RESETHAND : 0;  // the second one finds the default: it ends
    handle(signal, &remember, SA_RESTART | once);
  }
}

StopRequest::~StopRequest() {
  for (int signal : kSignals) handle(signal, SIG_DFL, 0);
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

// What session_test starts under mpirun: one way of ending a job a mode.
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>

#include "parallel/mpi_call.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/world.hpp"

namespace {

using caravan::parallel::MpiSession;

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/// What healthy ranks do meanwhile: wait in a collective for the one that does not come.
void train_for_ever(caravan::Communicator& world) {
  for (float value = 1.0f;;) world.all_reduce({&value, caravan::DType::f32, {1}}, caravan::ReduceOp::max);
}

/// `throw error.add_context(…)` would throw the base class and lose the exit code.
void refuse_job() {
  try {
    throw caravan::ConfigError("no such key");
  } catch (caravan::Error& error) {
    error.add_context("job.yaml:3");
    throw;
  }
}

int end_in(const std::string& mode, MpiSession& session) {
  auto world = caravan::parallel::make_world_communicator();
  const int rank = world->rank();
  if (mode == "succeed") return 0;
  if (mode == "requeue") return 75;
  if (mode == "all_fail") throw caravan::IoError("the same everywhere");
  if (mode == "alone") throw caravan::NumericalError("loss is not finite at step 3");
  if (mode == "mpi_error") {  // MPI's own number of it is not 1
    int value = 0;
    caravan::parallel::check_mpi(MPI_Bcast(&value, 1, MPI_INT, 99, MPI_COMM_WORLD), "MPI_Bcast", "world");
  }
  if (mode == "deaf") std::signal(SIGTERM, [](int) {});
  if (mode == "echo" && rank == 0) {
    sleep_ms(100);
    throw caravan::CommError("the connection broke");
  }
  if (rank == session.size() - 1) {
    sleep_ms(50);
    if (mode == "kill") std::raise(SIGKILL);
    if (mode == "foreign") throw std::runtime_error("from a library");
    if (mode == "config") refuse_job();
    throw caravan::NumericalError("the cause");
  }
  train_for_ever(*world);
  return 0;
}

/// Without run_with_mpi: the session itself unwinds.
int unwind(int argc, char** argv) {
  try {
    MpiSession session(argc, argv);
    auto world = caravan::parallel::make_world_communicator();
    if (world->rank() == 1) throw caravan::Error("unseen");
    train_for_ever(*world);
  } catch (const caravan::Error&) {
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argv[1];
  if (mode == "unwind") return unwind(argc, argv);
  return caravan::parallel::run_with_mpi(argc, argv,
                                         [&](MpiSession& session) { return end_in(mode, session); });
}

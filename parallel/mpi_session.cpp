#include "parallel/mpi_session.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>
#include <thread>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/printable.hpp"
#include "parallel/mpi_call.hpp"

namespace caravan::parallel {

using FileError = std::filesystem::filesystem_error;

int exit_code_of(const std::exception& error) noexcept {
  if (dynamic_cast<const FileError*>(&error)) return static_cast<int>(ExitCode::bad_input);
  const auto* own = dynamic_cast<const Error*>(&error);
  return static_cast<int>(own ? own->exit_code() : ExitCode::failure);
}

std::string text_of(const std::exception& error) {
  if (const auto* file = dynamic_cast<const FileError*>(&error))
    return file->path1().string() + ": " + file->code().message();
  if (dynamic_cast<const std::bad_alloc*>(&error))
    return "the system gives no more memory (a limit of `ulimit -v` or a cgroup?)";
  return error.what();
}

namespace {

using std::chrono::milliseconds;

/// How long a failing rank holds its message back, so that only the cause is seen: what all ranks find wrong
/// is printed by rank 0 alone, and a broken connection is usually the echo of another rank's end. A rank that
/// is killed meanwhile prints nothing.
milliseconds patience(const std::exception& error, int rank) {
  milliseconds wait = rank == 0 ? milliseconds(0) : milliseconds(1000);
  if (dynamic_cast<const CommError*>(&error)) wait += milliseconds(2000);
  return wait;
}

/// Open MPI prints a banner of ten lines for MPI_Abort, after our message. Its own switch for `mpirun
/// --quiet` is a plain variable; elsewhere the symbol does not exist. MPICH prints a line from this process,
/// whose stderr nobody needs any more: it goes into memory.
void silence_abort_banner() noexcept {
  if (auto* quiet = static_cast<bool*>(dlsym(RTLD_DEFAULT, "orte_execute_quiet"))) *quiet = true;
  if (const int nowhere = ::memfd_create("banner", MFD_CLOEXEC); nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
}

/// The launcher forwards stderr through a pipe of its own, and MPICH's leaves unread what is in it once a
/// rank aborts.
[[noreturn]] void abort_world(int code) noexcept {
  std::fflush(nullptr);
  std::this_thread::sleep_for(milliseconds(50));
  silence_abort_banner();
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

// Of this rank, once it fails: a signal handler has no other way to know it.
volatile std::sig_atomic_t ending_code = static_cast<int>(ExitCode::failure);

void end_now(int) {
  std::_Exit(ending_code);
}

void report(const std::exception& error, int size) noexcept {
  try {
    const std::string text = text_of(error);
    size > 1 ? log_local(LogLevel::error, text) : log_error(text);
  } catch (const std::exception&) {
    std::fputs(printable(error.what(), TextKind::lines).c_str(), stderr);
  }
  std::fflush(nullptr);
}

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) : exceptions_before_(std::uncaught_exceptions()) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread", "world");
  CARAVAN_CHECK(provided >= MPI_THREAD_FUNNELED, CommError,
                "this MPI has no threads at all (the checkpoint writer is a thread). Use an MPI with "
                "MPI_THREAD_FUNNELED?");
  // By default MPI ends the process with a number of its own for every error, which may be one of our codes.
  // Groups that are made of these inherit the handler.
  for (MPI_Comm all : {MPI_COMM_WORLD, MPI_COMM_SELF})
    check_mpi(MPI_Comm_set_errhandler(all, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", "world");
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank", "world");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size", "world");
}

MpiSession::~MpiSession() {
  if (size_ > 1 && std::uncaught_exceptions() > exceptions_before_)
    abort(static_cast<int>(ExitCode::failure));
  MPI_Finalize();
}

void MpiSession::fail(const std::exception& error) noexcept {
  // The end of another rank reaches this one as SIGTERM and must find it mortal.
  ending_code = exit_code_of(error);
  for (int signal : {SIGTERM, SIGINT, SIGUSR1}) std::signal(signal, &end_now);
  std::this_thread::sleep_for(patience(error, rank_));
  report(error, size_);
  abort(exit_code_of(error));
}

void MpiSession::abort(int code) noexcept {
  abort_world(code);
}

namespace {

/// mpirun prints six lines about a rank that ends by itself with a code, even about the only one; none after
/// MPI_Abort.
bool has_launcher(int size) {
  return size > 1 || std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
}

}  // namespace

void end_all_ranks(int code) noexcept {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!has_launcher(size)) std::_Exit(code);
  std::thread([code] {
    std::this_thread::sleep_for(milliseconds(5000));
    std::_Exit(code);
  }).detach();
  abort_world(code);
}

namespace {

/// The worst code of all ranks. Every rank has left `body` afterwards, so that aborting hurts nobody.
int agree(int code) {
  int worst = code;
  check_mpi(MPI_Allreduce(&code, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD), "MPI_Allreduce", "world");
  return worst;
}

bool ends_by_abort(const MpiSession& session) {
  return has_launcher(session.size());
}

/// srun gives 137 for a rank that exits by itself with a code; only MPI_Abort's code reaches the batch
/// script.
int finish(MpiSession& session, int code) {
  const int worst = agree(code);
  if (worst != 0 && ends_by_abort(session)) session.abort(worst);
  return worst;
}

}  // namespace

int run_with_mpi(int& argc, char**& argv, const std::function<int(MpiSession&)>& body) {
  MpiSession session(argc, argv);
  configure_log(LogLevel::info, session.rank());
  try {
    return finish(session, body(session));
  } catch (const std::exception& error) {
    if (ends_by_abort(session)) session.fail(error);
    report(error, session.size());
    return exit_code_of(error);
  } catch (...) {
    if (ends_by_abort(session)) session.fail(Error("an exception that is no std::exception escaped"));
    throw;
  }
}

}  // namespace caravan::parallel

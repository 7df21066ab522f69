#include "jobs/setup/with_world.hpp"

#include "caravan/log.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/world.hpp"

namespace caravan::jobs {

int with_world(const std::function<int(Communicator& world)>& body) {
  int argc = 0;
  char** argv = nullptr;
  return parallel::run_with_mpi(argc, argv, [&](parallel::MpiSession& session) {
    configure_log(LogLevel::info, session.rank());
    const auto world = parallel::make_world_communicator();
    return body(*world);
  });
}

}  // namespace caravan::jobs

#include "jobs/watch/watch_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "caravan/log.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/watch/failed_nodes.hpp"
#include "parallel/mpi_session.hpp"

namespace caravan::jobs {
namespace {

using HostName = std::array<char, 64>;

/// As Slurm names the node, because the batch script compares it with Slurm's list; elsewhere the host's
/// name.
HostName own_host() {
  HostName name{};
  if (const char* node = std::getenv("SLURMD_NODENAME")) {
    std::strncpy(name.data(), node, name.size() - 1);
  } else {
    ::gethostname(name.data(), name.size() - 1);
  }
  return name;
}

std::vector<std::string> gather_hosts(Communicator& world) {
  HostName own = own_host();
  std::vector<HostName> all(static_cast<std::size_t>(world.size()));
  const auto bytes = static_cast<std::int64_t>(own.size());
  world.all_gather(TensorView(own.data(), DType::u8, {bytes}),
                   TensorView(all.data()->data(), DType::u8, {world.size() * bytes}));
  std::vector<std::string> names;
  for (const HostName& name : all) names.emplace_back(name.data());
  return names;
}

void end_job(const Watchdog::Found& found, double timeout, const std::string& output) {
  if (!found.text.empty()) {
    log_local(LogLevel::error,
              fmt::format("nothing happened for {} s (watchdog.timeout): {}. Look at that rank, or raise "
                          "watchdog.timeout?",
                          timeout, found.text));
  }
  for (const std::string& host : found.silent_hosts)
    note_failed_node(output, host, "a rank was silent in a hang");
  std::fflush(nullptr);
  parallel::end_all_ranks(static_cast<int>(ExitCode::watchdog));
}

}  // namespace

std::unique_ptr<Watchdog> watch_run(const Whereabouts& whereabouts, const Job& job, Communicator& world) {
  const double timeout = job.watchdog.timeout;
  const std::string& output = job.output;
  std::vector<std::string> hosts = gather_hosts(world);
  // A name of its own, so that a start is not ended by what a former one left.
  const std::string folder = broadcast_text(world, output + "/hang-" + io::random_suffix());
  std::optional<Heartbeat> heartbeat;
  if (world.rank() == 0 && job.watchdog.heartbeat) heartbeat.emplace(output + "/heartbeat.json");
  if (timeout <= 0 && !heartbeat) return nullptr;
  return std::make_unique<Watchdog>(
      whereabouts,
      Watchdog::Settings{world.rank(), Watchdog::Seconds(timeout), HangReport(folder, std::move(hosts)),
                         std::move(heartbeat),
                         [timeout, output](const auto& found) { end_job(found, timeout, output); }});
}

}  // namespace caravan::jobs

#include "jobs/watch/failed_nodes.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <span>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "io/files/file.hpp"

namespace caravan::jobs {

void note_failed_node(const std::string& run, const std::string& node, const std::string& what) {
  const std::string line =
      fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {} {}\n", fmt::gmtime(std::time(nullptr)), node, what);
  try {
    io::File(run + "/failed-nodes.txt", O_WRONLY | O_CREAT | O_APPEND).write(std::as_bytes(std::span(line)));
  } catch (const IoError& error) {
    log_local(LogLevel::warning, error.message());
  }
}

}  // namespace caravan::jobs

#include "jobs/convert/source.hpp"

#include <fmt/format.h>

#include "caravan/log.hpp"
#include "io/hf/model_path.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {

std::string agreed_source(const std::string& source, Communicator& world) {
  if (world.rank() != 0) return broadcast_text(world, "");
  io::check_one_model(source);
  const io::ModelPath found = io::resolve_model_path(source);
  for (const auto& skipped : found.skipped)
    log_warning(fmt::format("skipped {}: {}", skipped.path, skipped.why));
  return broadcast_text(world, found.path);
}

}  // namespace caravan::jobs

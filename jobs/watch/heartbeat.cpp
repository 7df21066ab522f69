#include "jobs/watch/heartbeat.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "io/files/replace_text.hpp"

namespace caravan::jobs {

void Heartbeat::beat(const Whereabouts::Sight& sight) {
  const auto now = std::chrono::steady_clock::now();
  if (sight.ticks == ticks_ || (ticks_ > 0 && now - last_ < std::chrono::seconds(1))) return;
  last_ = now;
  ticks_ = sight.ticks;
  const nlohmann::json text{
      {"step", sight.step},
      {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
      {"action", sight.place},
      {"process", ::getpid()},
  };
  try {
    io::replace_text(path_, text.dump() + "\n");
    refused_ = false;
  } catch (const IoError& error) {
    if (!refused_) log_warning(fmt::format("no heartbeat: {}", error.message()));
    refused_ = true;
  }
}

}  // namespace caravan::jobs

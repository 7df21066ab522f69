#include "jobs/inspect/verification.hpp"

#include <fmt/format.h>

#include <chrono>

#include "caravan/error.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/verify.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/subject.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> damage_of(const std::string& folder) {
  try {
    io::verify_files(folder, io::read_manifest(folder), io::Check::everything);
    return {};
  } catch (const IoError& error) {
    return {error.message()};
  }
}

}  // namespace

Report verification(const InspectOptions& options, const TextStyle& style) {
  Report report;
  report.json = {{"path", options.paths.front()}, {"verified", true}, {"checkpoints", ordered_json::array()}};
  for (const std::string& folder : checkpoint_folders(options.paths.front())) {
    const std::vector<std::string> damage = damage_of(folder);
    report.text += folder + ": ";
    report.text += damage.empty() ? painted("every byte has its digest", Tone::good, style.ink)
                                  : painted("damaged", Tone::bad, style.ink);
    report.text += "\n";
    for (const std::string& why : damage) report.text += fmt::format("  {}\n", why);
    report.json["checkpoints"].push_back(
        {{"path", folder}, {"verified", damage.empty()}, {"damage", damage}});
    if (!damage.empty()) report.exit_code = static_cast<int>(ExitCode::bad_input);
  }
  report.json["verified"] = report.exit_code == 0;
  return report;
}

}  // namespace caravan::jobs

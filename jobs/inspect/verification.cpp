#include "jobs/inspect/verification.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/verify.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/identity/model_tokenizer.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/subject.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

struct Verdict {
  std::uint64_t bytes = 0;  ///< that the manifest speaks of
  std::vector<io::Damage> damages;
};

/// The tokenizer beside a checkpoint is in no manifest; the run's identity names its digest.
void check_tokenizer_of(const std::string& folder, std::vector<io::Damage>& damages) {
  const std::string file = io::find_tokenizer_file(folder);
  if (file.empty()) return;
  try {
    check_tokenizer(file, tokenizer_digest_of(folder));
  } catch (const IoError& error) {
    damages.push_back({file, "", 0, 0, error.message()});
  }
}

/// A manifest that cannot be used is damage too.
Verdict verdict_on(const std::string& folder) {
  Verdict verdict;
  try {
    const io::Manifest manifest = io::read_manifest(folder);
    for (const io::FileRecord& file : manifest.files) verdict.bytes += file.bytes;
    verdict.damages = io::find_damage(folder, manifest, io::Check::everything, io::Through::disk);
    if (verdict.damages.empty()) check_tokenizer_of(folder, verdict.damages);
  } catch (const IoError& error) {
    verdict.damages = {
        {(std::filesystem::path(folder) / io::kManifestFile).string(), "", 0, 0, error.message()}};
  }
  return verdict;
}

std::string text_of(const std::string& folder, const Verdict& verdict, Ink ink) {
  const bool is_whole = verdict.damages.empty();
  std::string text = fmt::format("{}: ", folder);
  text += is_whole ? painted(fmt::format("verified, all {} have their digests",
                                         bytes_text(static_cast<double>(verdict.bytes))),
                             Tone::good, ink)
                   : painted("damaged", Tone::bad, ink);
  text += "\n";
  for (const io::Damage& damage : verdict.damages) text += fmt::format("  {}\n", printable(damage.text()));
  return text;
}

ordered_json to_json(const std::string& folder, const Verdict& verdict) {
  ordered_json list = ordered_json::array();
  for (const io::Damage& damage : verdict.damages) {
    list.push_back({{"file", damage.file},
                    {"tensor", damage.tensor},
                    {"begin", damage.begin},
                    {"end", damage.end},
                    {"why", damage.why}});
  }
  return {{"path", folder}, {"bytes", verdict.bytes}, {"verified", list.empty()}, {"damage", list}};
}

}  // namespace

Report verification(const InspectOptions& options, const TextStyle& style) {
  Report report;
  ordered_json list = ordered_json::array();
  ProgressLine progress;
  for (const std::string& folder : checkpoint_folders(options.paths.front())) {
    progress.show(folder);
    const Verdict verdict = verdict_on(folder);
    report.text += text_of(folder, verdict, style.ink);
    list.push_back(to_json(folder, verdict));
    if (!verdict.damages.empty()) report.exit_code = static_cast<int>(ExitCode::bad_input);
  }
  report.json = {{"path", options.paths.front()}, {"verified", report.exit_code == 0}, {"checkpoints", list}};
  return report;
}

}  // namespace caravan::jobs

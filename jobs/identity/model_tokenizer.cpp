#include "jobs/identity/model_tokenizer.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/identity/run_identity.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// Where a run of an older version was started, whose job has relative paths: `output` led from there to the
/// run. Empty when the run was moved or renamed since.
std::string start_folder(const std::string& run, const std::string& output) {
  fs::path folder = run, rest = fs::path(output).lexically_normal();
  if (run.empty() || output.empty() || rest.is_absolute()) return "";
  for (; !rest.empty(); rest = rest.parent_path(), folder = folder.parent_path())
    if (rest.filename() != folder.filename()) return "";
  return folder.string();
}

/// The tokenizer that the job names, or the one beside its token shards; empty when there is none any more.
std::string named_by(const Job& job, const std::string& run) {
  const auto place = [&](const Config& path) -> std::string {
    if (path.kind() != Config::Kind::scalar) return "";
    if (fs::path(path.text()).is_absolute()) return path.text();
    const std::string start = start_folder(run, job.output);
    return start.empty() ? "" : (fs::path(start) / path.text()).string();
  };
  const std::string named = place(job.data.find("tokenizer"));
  if (!named.empty() && fs::exists(named)) return named;
  const std::string shards = place(job.data.find("path"));
  return shards.empty() ? "" : io::find_tokenizer_file(shards);
}

}  // namespace

ModelTokenizer tokenizer_of(const io::CheckpointReader& reader, const Job& job) {
  ModelTokenizer found{"", stored_identity(reader).data.tokenizer_digest};
  const std::string run = run_of_checkpoint(reader.folder());
  found.path = io::find_tokenizer_file(reader.folder());
  if (found.path.empty() && !run.empty()) found.path = io::find_tokenizer_file(run);
  if (found.path.empty()) found.path = named_by(job, run);
  if (found.path.empty()) return found;
  if (found.digest.empty())
    log_warning(fmt::format("{} does not say which tokenizer it was trained with; {} is taken",
                            reader.folder(), found.path));
  check_tokenizer(found.path, found);
  return found;
}

ModelTokenizer tokenizer_digest_of(const std::string& checkpoint) {
  const auto reader = io::CheckpointReader::open(checkpoint, io::Check::structure);
  return {"", stored_identity(reader).data.tokenizer_digest};
}

void check_tokenizer(const std::string& path, const ModelTokenizer& model) {
  if (model.digest.empty()) return;
  const std::string file = io::tokenizer_file(path), digest = io::tokenizer_digest(file);
  CARAVAN_CHECK(
      digest == model.digest, IoError,
      fmt::format("the tokenizer {} has the digest {} (the model was trained with {}). The tokenizer of its "
                  "run?",
                  file, digest, model.digest));
}

}  // namespace caravan::jobs

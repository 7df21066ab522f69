#include "io/checkpoint/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "caravan/check.hpp"
#include "io/files/host_name.hpp"
#include "io/files/pending_file.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

constexpr const char* kLockFile = "run.lock";
constexpr const char* kGenerationFile = "generation.json";
constexpr std::uint64_t kMostBytes = 4096;

std::string text_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

std::string path_in(const std::string& run, const char* name) {
  return (std::filesystem::path(run) / name).string();
}

struct Generation {
  std::string token;
  RunOwner owner;
};

/// Nothing when there is none that can be read: it is written in one rename, so then nobody has one.
std::optional<Generation> current(const std::string& run) {
  const std::string path = path_in(run, kGenerationFile);
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const auto all = parse_json_strict(read_text(path, kMostBytes), path);
    return Generation{all.at("generation").get<std::string>(),
                      {all.at("host").get<std::string>(), int64_of(all.at("process")),
                       all.at("batch_job").get<std::string>(), int64_of(all.at("restarts"))}};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

void write(const std::string& run, const Generation& mine) {
  const nlohmann::json all{{"generation", mine.token},
                           {"host", mine.owner.host},
                           {"process", mine.owner.process},
                           {"batch_job", mine.owner.batch_job},
                           {"restarts", mine.owner.restarts}};
  write_output(path_in(run, kGenerationFile), all.dump(1) + "\n", NamedBy::us);
}

bool supersedes(const RunOwner& mine, const RunOwner& theirs) {
  return !mine.batch_job.empty() && mine.batch_job == theirs.batch_job && mine.restarts > theirs.restarts;
}

std::string described(const std::optional<Generation>& holder) {
  if (!holder) return "another process";
  return fmt::format("process {} on {}{}", holder->owner.process, holder->owner.host,
                     holder->owner.batch_job.empty() ? "" : ", batch job " + holder->owner.batch_job);
}

/// The lock, or nothing when its holder is superseded or the file system has no locks.
std::optional<File> take_lock(const std::string& run, const RunOwner& owner) {
  File file(path_in(run, kLockFile), O_RDWR | O_CREAT);
  if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) return std::nullopt;
  const auto holder = current(run);
  CARAVAN_CHECK(holder && supersedes(owner, holder->owner), IoError,
                fmt::format("{} is in use by {} (two runs would mix their checkpoints). Wait for it, or name "
                            "another output?",
                            run, described(holder)));
  return std::nullopt;
}

}  // namespace

RunOwner RunOwner::here() {
  const std::string restarts = text_of("SLURM_RESTART_COUNT");
  std::int64_t count = 0;
  std::from_chars(restarts.data(), restarts.data() + restarts.size(), count);
  return {host_name("unknown"), ::getpid(), text_of("SLURM_JOB_ID"), count};
}

RunLock::RunLock(const std::string& run, const RunOwner& owner) : run_(run), generation_(random_suffix()) {
  std::error_code problem;
  std::filesystem::create_directories(run, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot make the folder {} ({})", run, problem.message()));
  if (auto lock = take_lock(run, owner)) lock_.emplace(std::move(*lock));
  write(run, {generation_, owner});
}

void RunLock::check() const {
  const auto holder = current(run_);
  CARAVAN_CHECK(holder && holder->token == generation_, IoError,
                fmt::format("{} belongs to {} by now (this process was given up, and may not write there)",
                            run_, described(holder)));
}

}  // namespace caravan::io

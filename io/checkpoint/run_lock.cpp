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
#include <thread>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/files/host_name.hpp"
#include "io/files/pending_file.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

constexpr const char* kLockFile = "run.lock";
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

/// One look at generation.json, which is replaced as a whole: another process's token, or why none is known.
struct Look {
  std::optional<Generation> found;
  std::string problem;
  bool is_missing = false;
};

Look look(const std::string& run) {
  const std::string path = path_in(run, kGenerationFile);
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown) && !unknown) return {{}, path + " is missing", true};
  try {
    const auto all = parse_json_strict(read_text(path, kMostBytes), path);
    return {Generation{all.at("generation").get<std::string>(),
                       {all.at("host").get<std::string>(), int64_of(all.at("process")),
                        all.at("batch_job").get<std::string>(), int64_of(all.at("restarts"))}},
            {},
            false};
  } catch (const Error& error) {
    return {{}, error.message(), false};
  } catch (const std::exception& error) {
    return {{}, fmt::format("{} is malformed ({})", path, error.what()), false};
  }
}

/// Looks until there is an answer: network file systems fail for a moment (ESTALE, EIO).
Look patient_look(const std::string& run, const Patience& patience) {
  Look last = look(run);
  for (int tries = 1; !last.found && tries < patience.tries; ++tries) {
    std::this_thread::sleep_for(patience.pause);
    last = look(run);
  }
  return last;
}

std::string text_of(const Generation& mine) {
  const nlohmann::json all{{"generation", mine.token},
                           {"host", mine.owner.host},
                           {"process", mine.owner.process},
                           {"batch_job", mine.owner.batch_job},
                           {"restarts", mine.owner.restarts}};
  return all.dump(1) + "\n";
}

void write(const std::string& run, const Generation& mine) {
  write_output(path_in(run, kGenerationFile), text_of(mine), NamedBy::us);
}

/// Writes it only where there is none: whoever was faster is the owner.
void write_missing(const std::string& run, const Generation& mine) {
  const std::string text = text_of(mine);
  File file(path_in(run, kGenerationFile), O_WRONLY | O_CREAT | O_EXCL);
  file.write(std::as_bytes(std::span(text)));
  file.sync();
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
  const auto holder = patient_look(run, {}).found;
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

RunLock::RunLock(const std::string& run, const RunOwner& owner)
    : run_(run), owner_(owner), generation_(random_suffix()) {
  std::error_code problem;
  std::filesystem::create_directories(run, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot make the folder {} ({})", run, problem.message()));
  if (auto lock = take_lock(run, owner)) lock_.emplace(std::move(*lock));
  write(run, {generation_, owner});
}

void RunLock::check(const Patience& patience) const {
  Look seen = patient_look(run_, patience);
  if (seen.is_missing && lock_) {
    log_warning(seen.problem + " although this run holds its folder (was it removed?): written again");
    write_missing(run_, {generation_, owner_});
    seen = patient_look(run_, patience);
  }
  CARAVAN_CHECK(seen.found, IoError,
                fmt::format("whether {} still belongs to this process cannot be told ({}; looked {} times)",
                            run_, seen.problem, patience.tries));
  if (seen.found->token != generation_)
    throw TakenOver(
        fmt::format("{} belongs to {} by now (this process was given up, and may not write there)", run_,
                    described(seen.found)));
}

}  // namespace caravan::io

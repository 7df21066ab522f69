#include "jobs/submit/sbatch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "caravan/check.hpp"
#include "jobs/submit/run_env.hpp"

extern char** environ;

namespace caravan::jobs {
namespace {

struct Result {
  int code = 0;  ///< 128 + signal where one ended it
  std::string output;
};

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

/// SLURM_CONF, SLURM_CLUSTERS and SLURM_JWT say where Slurm is and who asks.
bool is_withheld(std::string_view name) {
  constexpr std::array<std::string_view, 4> kPrefixes{"SLURM", "OMPI_", "PMI", "PRTE_"};
  constexpr std::array<std::string_view, 3> kNeeded{"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"};
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), begins) &&
         std::find(kNeeded.begin(), kNeeded.end(), name) == kNeeded.end();
}

/// What sbatch hands to the job.
std::vector<char*> handed_environment() {
  std::vector<char*> list;
  for (char** entry = environ; *entry; ++entry)
    if (!is_withheld(name_of(*entry))) list.push_back(*entry);
  list.push_back(nullptr);
  return list;
}

enum class Capture { output, output_and_errors };

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = ::read(descriptor, buffer.data(), buffer.size())) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  return text;
}

/// Starts a program whose output goes to `output`; an error's number, or 0. Words go to it as they are: there
/// is no shell between.
int spawn(std::vector<std::string>& words, int output, Capture capture, pid_t& child) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  if (capture == Capture::output_and_errors) posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const int error =
      ::posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), handed_environment().data());
  posix_spawn_file_actions_destroy(&files);
  return error;
}

Result run(std::vector<std::string> words, Capture capture) {
  std::array<int, 2> pipe{};
  CARAVAN_CHECK(::pipe2(pipe.data(), O_CLOEXEC) == 0, Error,
                fmt::format("cannot make a pipe ({})", std::strerror(errno)));
  pid_t child = -1;
  const int error = spawn(words, pipe[1], capture, child);
  ::close(pipe[1]);
  Result result;
  if (error == 0) result.output = read_all(pipe[0]);
  ::close(pipe[0]);
  CARAVAN_CHECK(error == 0, ConfigError,
                fmt::format("cannot start {} ({}). Submit where Slurm is, or look with --print?", words[0],
                            std::strerror(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// Slurm's words without the program's name before them.
std::string reason_of(std::string text) {
  text = text.substr(0, text.find('\n'));
  for (const std::string_view prefix : {"sbatch: error: ", "sbatch: ", "allocation failure: "})
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  return text;
}

}  // namespace

std::vector<std::string> withheld_variables() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry; ++entry)
    if (is_withheld(name_of(*entry))) names.emplace_back(name_of(*entry));
  std::sort(names.begin(), names.end());
  return names;
}

void check_with_slurm(const Submission& submission) {
  std::vector<std::string> words = submission.command(0, "");
  words.insert(words.begin() + 1, "--test-only");
  const Result result = run(words, Capture::output_and_errors);
  CARAVAN_CHECK(
      result.code == 0, ConfigError,
      fmt::format("Slurm refuses the job: {}. Look at the site file and --nodes?", reason_of(result.output)));
}

std::vector<std::string> submit(const Submission& submission) {
  std::vector<std::string> ids;
  for (std::int64_t link = 0; link < submission.links; ++link) {
    const Result result = run(submission.command(link, ids.empty() ? "" : ids.back()), Capture::output);
    const std::string id = result.output.substr(0, result.output.find_first_of(";\n"));
    CARAVAN_CHECK(result.code == 0 && !id.empty() && id.find_first_not_of("0123456789") == std::string::npos,
                  Error,
                  fmt::format("sbatch ended with {} after {} of {} jobs (its own message is above)",
                              result.code, ids.size(), submission.links));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace caravan::jobs

#include "tests/jobs/run_program.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "io/files/pending_file.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/launched_rank.hpp"

namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

// Every process of a start inherits it, so that ranks are found whatever group or parent the launcher gives
// them.
constexpr const char* kToken = "CARAVAN_TEST_RUN";

double seconds_between(steady_clock::time_point begin, steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

void nap() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

std::vector<std::string> words_of(const Command& command) {
  std::vector<std::string> words;
  if (command.ranks > 0) {
    std::istringstream launcher(CARAVAN_TEST_MPIRUN);
    for (std::string word; launcher >> word;) words.push_back(word);
    words.insert(words.end(), {"-n", std::to_string(command.ranks)});
  }
  words.push_back(command.program.empty() ? std::getenv("CARAVAN_BINARY") : command.program);
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  return words;
}

std::vector<std::string> environment_of(const Command& command, const std::string& token) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    variables[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  for (const auto& [name, value] : command.environment) variables[name] = value;
  variables[kToken] = token;
  std::vector<std::string> list;
  for (const auto& [name, value] : variables) list.push_back(name + "=" + value);
  return list;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

pid_t spawn(std::vector<std::string> words, std::vector<std::string> environment, const std::string& out,
            const std::string& err) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, words[0].c_str(), &files, nullptr, pointers(words).data(),
                                   pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " + words[0]);
  return pid;
}

bool has_variable(const fs::path& process, const std::string& variable) {
  const std::string all = '\0' + slurp((process / "environ").string());
  return all.find('\0' + variable + '\0') != std::string::npos;
}

}  // namespace

std::string Outcome::last_line() const {
  const std::size_t end = err.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const std::size_t begin = err.rfind('\n', end);
  return err.substr(begin + 1, end - begin);
}

int Outcome::errors() const {
  int count = 0;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) count += line.find(" error ") == std::strlen("12:34:56");
  return count;
}

Program::Program(const Command& command, const std::string& folder)
    : token_(io::random_suffix()),
      out_path_(folder + "/out-" + token_),
      err_path_(folder + "/err-" + token_),
      timeout_s_(command.timeout_s),
      start_(steady_clock::now()),
      pid_(spawn(words_of(command), environment_of(command, token_), out_path_, err_path_)) {}

Program::~Program() {
  if (ended_ && processes().empty()) return;
  kill_all(SIGKILL);
  reap(0);
}

void Program::reap(int options) {
  if (ended_ || ::waitpid(pid_, &status_, options) != pid_) return;
  ended_ = true;
  end_ = steady_clock::now();
}

bool Program::is_running() {
  reap(WNOHANG);
  return !ended_;
}

std::vector<pid_t> Program::processes() const {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (has_variable(entry.path(), std::string(kToken) + "=" + token_)) found.push_back(std::stoi(name));
  }
  return found;
}

pid_t Program::process_of_rank(int rank) const {
  for (pid_t pid : processes()) {
    for (const std::string variable : kRankVariables)
      if (has_variable("/proc/" + std::to_string(pid), variable + "=" + std::to_string(rank))) return pid;
  }
  return 0;
}

/// Nobody is 0 to kill(), which would take that for the test's own group.
bool Program::signal_rank(int rank, int signal) const {
  const pid_t process = process_of_rank(rank);
  return process > 0 && ::kill(process, signal) == 0;
}

void Program::kill_all(int signal) const {
  // Twice: a launcher may start a rank while the first round looks elsewhere.
  for (int round = 0; round < 2; ++round) {
    for (pid_t pid : processes()) ::kill(pid, signal);
  }
}

std::string Program::err_so_far() const {
  return slurp(err_path_);
}

bool Program::wait_for(const std::string& text, double seconds) {
  const auto begin = steady_clock::now();
  while (err_so_far().find(text) == std::string::npos) {
    if (!is_running() || seconds_between(begin, steady_clock::now()) > seconds) return false;
    nap();
  }
  return true;
}

bool Program::all_gone_within(double seconds) const {
  const auto begin = steady_clock::now();
  while (!processes().empty()) {
    if (seconds_between(begin, steady_clock::now()) > seconds) return false;
    nap();
  }
  return true;
}

Outcome Program::wait() {
  Outcome outcome;
  while (is_running()) {
    if (!outcome.timed_out && seconds_between(start_, steady_clock::now()) > timeout_s_) {
      outcome.timed_out = true;
      kill_all(SIGKILL);
    }
    nap();
  }
  outcome.seconds = seconds_between(start_, end_);
  if (WIFEXITED(status_)) outcome.code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) outcome.signal = WTERMSIG(status_);
  outcome.out = slurp(out_path_);
  outcome.err = slurp(err_path_);
  return outcome;
}

Outcome run_program(const Command& command, const std::string& folder) {
  return Program(command, folder).wait();
}

}  // namespace caravan::test

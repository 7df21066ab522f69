#include "jobs/drawing/pager.hpp"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <vector>

#include "jobs/drawing/terminal.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

std::vector<std::string> pager_words() {
  const char* chosen = std::getenv("PAGER");
  std::istringstream text(chosen ? chosen : "less");
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

/// As git does: less quits when the text fits, shows colours and leaves the screen as it is.
std::vector<std::string> pager_environment() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry; ++entry) variables.emplace_back(*entry);
  if (!std::getenv("LESS")) variables.emplace_back("LESS=FRX");
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

/// Process of a pager that reads `input`; -1 when it cannot be started.
pid_t start_pager(int input) {
  std::vector<std::string> words = pager_words(), environment = pager_environment();
  if (words.empty()) return -1;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  pid_t pager = -1;
  const int problem = ::posix_spawnp(&pager, words[0].c_str(), &files, nullptr, pointers(words).data(),
                                     pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  return problem == 0 ? pager : -1;
}

/// Ends early when the reader has gone, as a user does who quits the pager.
void feed(int pager, std::string_view rest) {
  while (!rest.empty()) {
    const auto sent = ::send(pager, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

/// False when there is no pager.
bool show_paged(const std::string& text) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  const pid_t pager = start_pager(ends[1]);
  ::close(ends[1]);
  if (pager > 0) feed(ends[0], text);
  ::close(ends[0]);
  if (pager < 0) return false;
  while (::waitpid(pager, nullptr, 0) < 0 && errno == EINTR) {
  }
  return true;
}

}  // namespace

void page_standard_output(const std::string& text, TextKind kind) {
  const int rows = terminal_rows();
  const bool fits = rows == 0 || std::count(text.begin(), text.end(), '\n') < rows;
  if (fits || !show_paged(printable(text, kind))) write_standard_output(text, kind);
}

}  // namespace caravan::jobs

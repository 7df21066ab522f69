#include "caravan/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <string>

#include "caravan/printable.hpp"

namespace caravan {
namespace {

struct State {
  std::mutex mutex;
  LogLevel lowest = LogLevel::info;
  int rank = 0;
  bool coloured =
      ::isatty(STDERR_FILENO) && std::getenv("TERM") && std::string_view(std::getenv("TERM")) != "dumb";
};

// The log is the one process-wide object: a message can come from anywhere, and there is one stderr.
State& state() {
  static State instance;
  return instance;
}

struct Word {
  std::string_view name, colour;  ///< the colour is what a terminal is told before the name
};

Word word_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return {"debug", "\033[36m"};
    case LogLevel::info:
      return {"info", "\033[32m"};
    case LogLevel::warning:
      return {"warning", "\033[33m\033[1m"};
    case LogLevel::error:
      return {"error", "\033[31m\033[1m"};
  }
  return {"error", ""};
}

std::string clock_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:%H:%M:%S}", local);
}

/// One write, so that lines of ranks that share a terminal are not mixed. A stderr that is closed has no
/// reader whom a failure could be told.
void print(LogLevel level, std::string_view message) {
  const std::lock_guard lock(state().mutex);
  if (level < state().lowest) return;
  const Word word = word_of(level);
  const bool coloured = state().coloured;
  const std::string line = fmt::format("{} {}{}{} {}\n", clock_time(), coloured ? word.colour : "", word.name,
                                       coloured ? "\033[m" : "", message);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

/// What a message may hold comes from files too: nothing in it steers a terminal, and no line of it but the
/// first begins where a message begins, so that none can pass for a message of its own.
std::string one_message(std::string_view text) {
  std::string message;
  for (const char c : printable(text, TextKind::lines)) {
    if (c != ' ' && message.ends_with('\n')) message += "  ";
    message += c;
  }
  return message;
}

}  // namespace

void configure_log(LogLevel lowest, int rank) {
  const std::lock_guard lock(state().mutex);
  state().lowest = lowest;
  state().rank = rank;
}

void log(LogLevel level, std::string_view text) {
  if (state().rank == 0) print(level, one_message(text));
}

void log_local(LogLevel level, std::string_view text) {
  print(level, fmt::format("[rank {}] {}", state().rank, one_message(text)));
}

}  // namespace caravan

#include "caravan/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "caravan/printable.hpp"

namespace caravan {
namespace {

struct State {
  std::shared_ptr<spdlog::logger> sink;
  int rank = 0;
};

// The logger is the one process-wide object: a message can come from anywhere, and there is one stderr.
State& state() {
  static State instance = [] {
    State made;
    made.sink =
        std::make_shared<spdlog::logger>("caravan", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made.sink->set_pattern("%H:%M:%S %^%l%$ %v");
    return made;
  }();
  return instance;
}

spdlog::level::level_enum translate(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
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
  state().sink->set_level(translate(lowest));
  state().rank = rank;
}

void log(LogLevel level, std::string_view text) {
  if (state().rank == 0) state().sink->log(translate(level), "{}", one_message(text));
}

void log_local(LogLevel level, std::string_view text) {
  state().sink->log(translate(level), "[rank {}] {}", state().rank, one_message(text));
}

}  // namespace caravan

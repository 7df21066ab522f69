#pragma once

#include <string_view>

namespace caravan {

enum class LogLevel { debug, info, warning, error };

/// Sets what `log` prints and from which rank. Called once by the executable, after MPI has started.
void configure_log(LogLevel lowest, int rank);

/// Uniform code paths: every rank calls, rank 0 prints to stderr. [host thread]
void log(LogLevel level, std::string_view text);

/// Rank-local paths: the calling rank prints, with "[rank r]" in front. [host thread]
void log_local(LogLevel level, std::string_view text);

inline void log_debug(std::string_view text) {
  log(LogLevel::debug, text);
}
inline void log_info(std::string_view text) {
  log(LogLevel::info, text);
}
inline void log_warning(std::string_view text) {
  log(LogLevel::warning, text);
}
inline void log_error(std::string_view text) {
  log(LogLevel::error, text);
}

}  // namespace caravan

#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <vector>

namespace caravan {

/// Exit codes of the `caravan` executable that a batch script can branch on (docs/exit-codes.md).
enum class ExitCode : int {
  success = 0,
  failure = 1,
  wrong_use = 2,     ///< command line, job file, plugin parameters
  bad_input = 3,     ///< a data file or checkpoint that cannot be used
  numerical = 16,    ///< loss or gradient is not finite
  validation = 17,   ///< the validation loss is not finite
  requeue = 75,      ///< asked to leave, saved, to be started again (EX_TEMPFAIL of sysexits.h)
  no_progress = 93,  ///< starting again would not help
  watchdog = 124,    ///< nothing happened for too long (what timeout(1) gives)
};

/// The one exception family. The text reads: problem with values (why it is one). Remedy?
/// Context is added on the way up ("layers.3", "step 17") and printed innermost first.
class Error : public std::exception {
 public:
  explicit Error(std::string message, std::source_location where = std::source_location::current());
  ~Error() override;  // key function: one type_info in libcaravan_core

  /// Message followed by the context lines.
  const char* what() const noexcept override { return text_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  const std::vector<std::string>& context() const noexcept { return context_; }
  std::source_location where() const noexcept { return where_; }
  virtual ExitCode exit_code() const noexcept { return ExitCode::failure; }

  /// Adds "in <scope>" to the text. A handler calls it and rethrows with `throw;`, which keeps type and exit
  /// code.
  void add_context(std::string scope);

 private:
  std::string message_;
  std::string text_;
  std::vector<std::string> context_;
  std::source_location where_;
};

/// A job file, an override or a command line that cannot be right.
class ConfigError : public Error {
 public:
  using Error::Error;
  ~ConfigError() override;
  ExitCode exit_code() const noexcept override { return ExitCode::wrong_use; }
};

/// A plugin that cannot be found, opened, trusted or created.
class PluginError : public Error {
 public:
  using Error::Error;
  ~PluginError() override;
  ExitCode exit_code() const noexcept override { return ExitCode::wrong_use; }
};

/// Communication between ranks failed, or ranks disagree.
class CommError : public Error {
 public:
  using Error::Error;
  ~CommError() override;
};

/// A device is absent, out of memory, or lacks an operator.
class DeviceError : public Error {
 public:
  using Error::Error;
  ~DeviceError() override;
};

/// A file is missing, truncated, hostile, or cannot be written.
class IoError : public Error {
 public:
  using Error::Error;
  ~IoError() override;
  ExitCode exit_code() const noexcept override { return ExitCode::bad_input; }
};

/// Loss or gradient left the numbers.
class NumericalError : public Error {
 public:
  using Error::Error;
  ~NumericalError() override;
  ExitCode exit_code() const noexcept override { return ExitCode::numerical; }
};

}  // namespace caravan

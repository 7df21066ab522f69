#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace caravan::test {

/// How a program ended, and what it said until then.
struct Outcome {
  int code = -1;   ///< -1 when a signal ended it
  int signal = 0;  ///< that ended it
  bool timed_out = false;
  std::string out, err;
  double seconds = 0;

  /// The last line of `err` without its end.
  std::string last_line() const;
  /// Messages of level error.
  int errors() const;
};

/// One start of the executable, alone or under mpirun.
struct Command {
  std::vector<std::string> arguments;
  int ranks = 0;  ///< 0: without mpirun
  std::map<std::string, std::string> environment;
  double timeout_s = 60;
  std::string program{};  ///< "": the executable of CARAVAN_BINARY
};

/// The executable of CARAVAN_BINARY, running as a user would start it, with standard input empty. The
/// destructor kills what still runs.
class Program {
 public:
  /// `folder` gets the files that hold its two streams.
  Program(const Command& command, const std::string& folder);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// [once] Kills everything after the timeout.
  Outcome wait();
  bool is_running();
  /// mpirun and every rank that lives; ranks that outlive mpirun are among them.
  std::vector<pid_t> processes() const;
  /// The process of one rank; 0 when there is none.
  pid_t process_of_rank(int rank) const;
  /// Sends a signal to it; false where there is no such process.
  bool signal_rank(int rank, int signal) const;
  pid_t launcher() const noexcept { return pid_; }
  void kill_all(int signal) const;
  /// What it has written to standard error so far.
  std::string err_so_far() const;
  /// Waits until standard error holds `text`; false when the program ends or `seconds` pass before.
  bool wait_for(const std::string& text, double seconds);
  /// Waits until no process is left; false when some remain after `seconds`.
  bool all_gone_within(double seconds) const;

 private:
  void reap(int options);

  std::string token_, out_path_, err_path_;
  double timeout_s_;
  std::chrono::steady_clock::time_point start_, end_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Starts and waits.
Outcome run_program(const Command& command, const std::string& folder);

}  // namespace caravan::test

#pragma once

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/io/temporary_folder.hpp"
#include "tests/jobs/run_program.hpp"

namespace caravan::test {

/// A Slurm of two nodes on this machine's loopback (slurm_lab.sh), from construction to destruction.
class SlurmLab {
 public:
  /// Why there can be none here; "" when there can.
  static std::string obstacle() {
    for (const char* program : {"slurmctld", "slurmd", "sbatch"}) {
      if (std::system((std::string("command -v ") + program + " > /dev/null 2>&1").c_str()) != 0)
        return std::string(program) +
               " is not installed, so nothing of Slurm is tested here. Install it with: apt-get install "
               "slurmctld slurmd slurm-client slurm-wlm-basic-plugins";
    }
    return ::getuid() == 0 ? "" : "a Slurm of its own needs root, so nothing of Slurm is tested here";
  }

  SlurmLab() { problem_ = lab("start", {"2"}); }
  ~SlurmLab() { lab("stop", {}); }
  SlurmLab(const SlurmLab&) = delete;
  SlurmLab& operator=(const SlurmLab&) = delete;

  /// Why it did not start; "" when it did.
  const std::string& problem() const noexcept { return problem_; }
  /// A program of Slurm, or one that calls it (the executable where `program` is ""). What it starts outlives
  /// it: jobs must not carry the mark by which Program ends what it started.
  Outcome run(const std::string& program, const std::vector<std::string>& arguments) const {
    Command command;
    command.program = "env";
    command.arguments = {"--unset=CARAVAN_TEST_RUN",
                         program.empty() ? std::getenv("CARAVAN_BINARY") : program};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = {{"SLURM_CONF", folder_.file("slurm.conf")}};
    return run_program(command, folder_.path());
  }
  /// One field of `scontrol show job`, e.g. JobState.
  std::string field(const std::string& job, const std::string& name) const {
    const std::string text = run("scontrol", {"--oneliner", "show", "job", job}).out;
    const std::size_t begin = text.find(" " + name + "=");
    if (begin == std::string::npos) return "";
    const std::size_t from = begin + name.size() + 2;
    return text.substr(from, text.find(' ', from) - from);
  }

 private:
  std::string lab(const std::string& verb, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{CARAVAN_SLURM_LAB, verb, folder_.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Command command;
    command.program = "bash";
    command.arguments = arguments;
    const Outcome outcome = run_program(command, folder_.path());
    return outcome.code == 0 ? "" : outcome.err + " ";
  }

  TemporaryFolder folder_;
  std::string problem_;
};

}  // namespace caravan::test

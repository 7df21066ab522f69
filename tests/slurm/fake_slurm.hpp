#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/io/temporary_folder.hpp"
#include "tests/jobs/run_program.hpp"

namespace caravan::test {

/// Stands in for srun, mpirun and scontrol around a batch script, where no Slurm is: srun runs a line of
/// shell that the test gives (FAKE_RANKS) after writing down its words and environment; requeue ends the
/// script as Slurm would.
class FakeSlurm {
 public:
  FakeSlurm() {
    std::filesystem::create_directories(folder_.file("bin"));
    tool("srun", R"(printf '%s\0' "$@" > "$FAKE/words"; env -0 > "$FAKE/environment"; eval "$FAKE_RANKS")");
    tool("mpirun", R"(printf '%s\0' "$@" > "$FAKE/words"; eval "$FAKE_RANKS")");
    tool("scontrol", R"(case $1 in
  show) printf 'n1\nn2\n' ;;
  requeue) echo "$2" > "$FAKE/requeued"; kill -TERM $PPID; sleep 5 ;;
esac)");
  }

  /// Runs a script of slurm/ with this run.env; `ranks`: what srun does.
  Outcome run(const std::string& script, const std::string& run_env, const std::string& ranks,
              const std::string& restart = "0", const std::map<std::string, std::string>& more = {}) const {
    Command command;
    command.program = "bash";
    command.arguments = {script, run_env};
    command.environment = {{"PATH", folder_.file("bin") + ":/usr/bin:/bin"},
                           {"FAKE", folder_.path()},
                           {"FAKE_RANKS", ranks},
                           {"SLURM_JOB_ID", "4711"},
                           {"SLURM_JOB_NODELIST", "n[1-2]"},
                           {"SLURM_NTASKS", "4"},
                           {"SLURM_RESTART_COUNT", restart}};
    for (const auto& [name, value] : more) command.environment[name] = value;
    return run_program(command, folder_.path());
  }
  bool requeued() const { return std::filesystem::exists(folder_.file("requeued")); }
  std::vector<std::string> words() const { return split(slurp(folder_.file("words"))); }
  std::vector<std::string> environment() const { return split(slurp(folder_.file("environment"))); }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  void tool(const std::string& name, const std::string& body) const {
    const std::string path = folder_.file("bin/" + name);
    spill(path, "#!/bin/bash\n" + body + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> list;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\0', begin);
      list.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return list;
  }

  TemporaryFolder folder_;
};

}  // namespace caravan::test

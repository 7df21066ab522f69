#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

#include "caravan/error.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/submission.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/slurm/fake_slurm.hpp"
#include "tests/support/plugin_dir.hpp"

// A hundred values that mean something to a shell, to sbatch or to a terminal: each is refused, or arrives
// letter by letter in the words and the environment of the ranks, and runs nothing.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using jobs::WordKind;
using ::testing::Contains;

std::vector<std::string> hostile_values() {
  const std::vector<std::string> payloads{
      "$(touch PWNED)",
      "`touch PWNED`",
      "; touch PWNED",
      "| touch PWNED",
      "&& touch PWNED #",
      "& touch PWNED &",
      "'; touch PWNED; '",
      "\"; touch PWNED; \"",
      "'\"'; touch PWNED #",
      "\\'; touch PWNED #",
      "\\",
      "\\\\\\",
      "${IFS}touch${IFS}PWNED",
      "$PATH ${HOME} $0 $@",
      "<(touch PWNED)",
      "> PWNED",
      "2>&1 >PWNED",
      "* ? [a-z] ~",
      "{a,b} ~root !!",
      "--wrap=touch PWNED",
      "-o PWNED",
      "# comment",
      "%j %x %% %2000000000d",
      "\n#SBATCH --wrap=touch",
      "\n touch PWNED\n",
      "\r",
      "\t",
      "\x1b[31mred\x07",
      std::string("a\0b", 3),
      "\x7f",
      "\xff\xfe",
      "\xc0\xaf",
      "\xe2\x80\xaegnp.exe",
      "../../../../etc",
      "a=b;c=d",
      "$'\\x41'",
      "@(x|y) !(z)",
      "a b",
      "((1+1))",
      "[[ -f / ]]",
      ":(){ :|:& };:",
      "$((1/0))",
      "${x:?touch}",
      "\"$(touch PWNED)\"",
      "'$(touch PWNED)'",
      ")\ntouch PWNED",
      "EOF\ntouch PWNED",
      "=(touch PWNED)",
      "\xf0\x9f\x92\xa3",
      std::string(3000, '\''),
  };
  std::vector<std::string> values = payloads;
  for (const std::string& payload : payloads) values.push_back("x" + payload + "y");
  return values;
}

bool is_accepted(WordKind kind, const std::string& value) {
  try {
    jobs::check_word(kind, "test", value);
    return true;
  } catch (const ConfigError&) {
    return false;
  }
}

class HostileValues : public ::testing::Test {
 protected:
  HostileValues() { ::setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  /// Lays the submission out, writes it, and runs the batch script with ranks that do nothing.
  jobs::Submission submit_and_run(const jobs::Site& site, const std::string& output) {
    Config job = Config::parse(kJob);
    job.set("output", file(output));
    spill(file("job.yaml"), job.to_yaml());
    const jobs::Submission plan = jobs::plan_submission({file("job.yaml"), {}}, site);
    jobs::write_files(plan);
    EXPECT_TRUE(ended_with(slurm_.run(plan.script, plan.command(0, "").back(), "exit 0"), 0));
    return plan;
  }
  /// What a site file may say, with one value wherever it may be any text.
  static jobs::Site site_of(const std::string& value, const std::string& container) {
    jobs::Site site;
    site.time = "60";
    site.launcher = "srun";
    site.mpi = "pmix";
    site.container = {container, value, {value}};
    site.binary = value;
    site.environment = {{"NCCL_TEST", value}};
    site.srun_options = {"--comment=" + value};
    site.sbatch_options = {"--comment=" + value};
    site.max_restarts = site.max_idle_restarts = site.node_failures = 3;
    return site;
  }
  void expect_that_nothing_ran() const {
    for (const auto& entry : fs::recursive_directory_iterator(slurm_.folder().path()))
      EXPECT_EQ(entry.path().filename().string().rfind("PWNED", 0), std::string::npos) << entry.path();
    EXPECT_FALSE(fs::exists("PWNED"));
  }
  std::string file(const std::string& name) const { return slurm_.folder().file(name); }
  static constexpr const char* kJob =
      "model: {vocab_size: 64, dim: 32, layers: 2, heads: 2}\n"
      "data: {source: synthetic, vocab_size: 64}\ntrain: {steps: 6}\n";
  FakeSlurm slurm_;
};

TEST_F(HostileValues, AreRefusedAsNames) {
  const auto values = hostile_values();
  ASSERT_EQ(values.size(), 100u);
  for (const std::string& value : values) {
    for (WordKind kind :
         {WordKind::name, WordKind::module, WordKind::memory, WordKind::variable, WordKind::gres}) {
      const bool only_a_path = kind == WordKind::module && value.find("../etc") != std::string::npos;
      EXPECT_EQ(is_accepted(kind, value), only_a_path) << value;
    }
  }
}

TEST_F(HostileValues, AreRefusedAsOptionsOfSbatch) {
  for (const std::string& value : hostile_values()) {
    const auto load = [&] {
      Config options = Config::list(), site = Config::map();
      options.append(Config::scalar(value));
      site.set("sbatch_options", options);
      spill(file("site.yaml"), site.to_yaml());
      jobs::load_site(file("site.yaml"), {});
    };
    EXPECT_THROW(load(), ConfigError) << value;
  }
}

TEST_F(HostileValues, ArriveInTheRanksAsTheyAreOrNotAtAll) {
  int accepted = 0;
  for (const std::string& value : hostile_values()) {
    if (!is_accepted(WordKind::operand, value)) continue;
    SCOPED_TRACE(value);

    const bool pyxis = accepted++ % 2 == 0;
    const jobs::Submission plan = submit_and_run(site_of(value, pyxis ? "pyxis" : "apptainer"), "run");

    EXPECT_THAT(slurm_.environment(), Contains("NCCL_TEST=" + value));
    EXPECT_THAT(slurm_.words(), Contains(value));
    EXPECT_THAT(slurm_.words(), Contains("--comment=" + value));
    EXPECT_THAT(plan.sbatch, Contains("--comment=" + value));
    EXPECT_THAT(slurm_.words(), Contains(pyxis ? "--container-image=" + value : "--bind"));
    EXPECT_THAT(slurm_.words(), Contains(pyxis ? "--container-mounts=" + value : "apptainer"));
  }
  EXPECT_GE(accepted, 60);
  expect_that_nothing_ran();
}

TEST_F(HostileValues, AsThePathOfARunNameItsFolderAndNothingElse) {
  int accepted = 0;
  for (const std::string& value : hostile_values()) {
    const bool is_name = value.size() <= 200 && value.find_first_of("/\\") == std::string::npos;
    if (!is_name || !is_accepted(WordKind::operand, value)) continue;
    SCOPED_TRACE(value);

    submit_and_run(site_of("x", "none"), value);

    EXPECT_TRUE(fs::exists(file(value) + "/attempts.txt"));
    fs::remove_all(file(value));
    ++accepted;
  }
  EXPECT_GE(accepted, 40);
  expect_that_nothing_ran();
}

}  // namespace
}  // namespace caravan::test

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "jobs/submit/run_env.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/slurm/fake_slurm.hpp"

// What slurm/run.sh makes of exit codes, signals and restarts, with srun and scontrol played by scripts.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

class BatchScript : public ::testing::Test {
 protected:
  BatchScript() {
    fs::create_directories(run_ + "/checkpoints");
    for (const char* script : {"cpu.sbatch", "gpu.sbatch", "run.sh"})
      fs::copy_file(fs::path(CARAVAN_SLURM_FOLDER) / script, file(script));
    settings_.set("CARAVAN_RUN", run_).set("CARAVAN_JOB", file("job.yaml")).set("CARAVAN_BINARY", "caravan");
  }
  std::string file(const std::string& name) const { return slurm_.folder().file(name); }
  Outcome start(const std::string& ranks, int restart = 0, const std::string& script = "cpu.sbatch") const {
    spill(file("run.env"), settings_.text());
    fs::remove(file("requeued"));
    return slurm_.run(file(script), file("run.env"), ranks, std::to_string(restart));
  }
  void save(int step) const { fs::create_directories(fmt::format("{}/checkpoints/step-{:08}", run_, step)); }
  /// A line of shell for srun: saves a step, leaves with a code.
  std::string saves(int step, int code) const {
    return fmt::format("mkdir -p '{}/checkpoints/step-{:08}'; exit {}", run_, step, code);
  }

  FakeSlurm slurm_;
  std::string run_ = slurm_.folder().file("run");
  jobs::RunEnv settings_;
};

TEST_F(BatchScript, OnlyWhatMayHelpIsStartedAgain) {
  for (int code : {0, 1, 2, 3, 16, 17, 93, 134, 139}) {
    const Outcome outcome = start(fmt::format("exit {}", code));
    EXPECT_TRUE(ended_with(outcome, code));
    EXPECT_FALSE(slurm_.requeued()) << code;
  }
  for (int code : {75, 124, 137}) {
    const Outcome outcome = start(fmt::format("exit {}", code));
    EXPECT_TRUE(slurm_.requeued()) << code << outcome.err;
    EXPECT_EQ(slurp(file("requeued")), "4711\n");
  }
}

TEST_F(BatchScript, ATaskOfAnArrayGivesItselfBackAndNoOther) {
  spill(file("run.env"), settings_.text());
  const Outcome outcome =
      slurm_.run(file("cpu.sbatch"), file("run.env"), "exit 75", "0",
                 {{"SLURM_JOB_ID", "40"}, {"SLURM_ARRAY_JOB_ID", "40"}, {"SLURM_ARRAY_TASK_ID", "2"}});

  EXPECT_EQ(slurp(file("requeued")), "40_2\n") << "40 is the whole array: " << outcome.err;
  EXPECT_THAT(slurp(run_ + "/attempts.txt"), HasSubstr(" 40_2 0 none\n"));
}

TEST_F(BatchScript, TheSitesSetupRunsFirstAndItsFailureEndsTheJob) {
  const std::string ranks = R"(printf '%s' "$SITE_SAYS" > "$FAKE/said")";
  spill(file("setup.sh"), "if [ -z \"$NOT_SET_ANYWHERE\" ]; then\nexport SITE_SAYS='a b'\nfi\n");
  ASSERT_TRUE(ended_with(start(ranks), 0));
  EXPECT_EQ(slurp(file("said")), "a b");

  fs::remove(file("said"));
  for (const char* line : {"false", "f() { false; }\nf", "x=$(false)"}) {
    spill(file("setup.sh"), std::string(line) + "\necho went on >&2\n");
    const Outcome outcome = start(ranks);
    EXPECT_TRUE(ended_with(outcome, 2));
    EXPECT_THAT(outcome.err, HasSubstr("a line of the site's setup ended with 1: "));
    EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("went on")));
  }
  EXPECT_FALSE(fs::exists(file("said"))) << "no rank was started";
}

TEST_F(BatchScript, SettingsOfTheFolderInWhichItStartsAreRead) {
  spill(file("run.env"), settings_.text());
  spill(file("setup.sh"), "export SITE_SAYS=here\n");
  const Outcome outcome =
      slurm_.run("-c", "cd '" + slurm_.folder().path() + "' && exec bash cpu.sbatch run.env",
                 R"(printf '%s' "$SITE_SAYS" > "$FAKE/said")");
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(slurp(file("said")), "here");
}

TEST_F(BatchScript, OptionsOfTheSiteComeLastAndAreWords) {
  settings_.set("CARAVAN_SRUN_OPTIONS",
                std::vector<std::string>{"--cpu-bind=none", "--comment=a b $(touch x)"});
  ASSERT_TRUE(ended_with(start("exit 0"), 0));
  EXPECT_THAT(slurm_.words(),
              ::testing::ElementsAre("--mpi=pmix", "--kill-on-bad-exit=1", "--export=ALL", "--cpu-bind=cores",
                                     "--cpus-per-task=1", "--cpu-bind=none", "--comment=a b $(touch x)",
                                     "caravan", "train", file("job.yaml")));
}

TEST_F(BatchScript, RanksOfMpirunAreBoundToWhatTheyHave) {
  settings_.set("CARAVAN_LAUNCHER", "mpirun");
  for (const auto& [cores, binding] :
       std::map<std::string, std::string>{{"1", "core:overload-allowed"}, {"8", "none"}}) {
    spill(file("run.env"), settings_.text());
    slurm_.run(file("gpu.sbatch"), file("run.env"), "exit 0", "0", {{"SLURM_CPUS_PER_TASK", cores}});
    const auto words = slurm_.words();
    const auto bind = std::find(words.begin(), words.end(), "--bind-to");
    ASSERT_NE(bind, words.end());
    EXPECT_EQ(*(bind + 1), binding);
  }
}

TEST_F(BatchScript, ARestartThatSavedNothingIsTheLast) {
  save(4);
  EXPECT_TRUE(ended_with(start("exit 75", 1), 93));
  EXPECT_FALSE(slurm_.requeued());
}

TEST_F(BatchScript, ARestartThatDiesBeforeItsFirstStepIsStartedAgainOnce) {
  save(4);
  spill(run_ + "/heartbeat.json", "{}");
  spill(run_ + "/attempts.txt", "t 4711 0 none\n");
  const Outcome first = start("sleep 0.1; kill -SEGV $BASHPID", 1);
  EXPECT_TRUE(slurm_.requeued()) << first.err;
  EXPECT_THAT(first.err,
              HasSubstr("a rank died of signal 11 before the first step, although the run has begun before: "
                        "to be started again"));
  EXPECT_THAT(slurp(run_ + "/failed-nodes.txt"), HasSubstr(" n2 part of a start that ended with 139\n"));

  EXPECT_TRUE(ended_with(start("kill -SEGV $BASHPID", 2), 139)) << "twice in a row";
  EXPECT_FALSE(slurm_.requeued());
}

TEST_F(BatchScript, ARestartThatDiesBehindItsFirstStepIsNot) {
  save(4);
  spill(run_ + "/attempts.txt", "t 4711 0 none\n");
  EXPECT_TRUE(
      ended_with(start("sleep 0.1; touch '" + run_ + "/heartbeat.json'; kill -SEGV $BASHPID", 1), 139));
  EXPECT_FALSE(slurm_.requeued());
}

TEST_F(BatchScript, ARestartThatDiesIsNotWhereNothingSaysThatItEverTrained) {
  save(4);
  EXPECT_TRUE(ended_with(start("kill -SEGV $BASHPID", 1), 139));
  EXPECT_FALSE(slurm_.requeued());
}

TEST_F(BatchScript, ARestartThatSavedGoesOn) {
  save(4);
  start(saves(6, 75), 1);
  EXPECT_TRUE(slurm_.requeued()) << "a new checkpoint is progress";
  const Outcome last = start(saves(6, 75), 2);
  EXPECT_TRUE(ended_with(last, 93));
  EXPECT_THAT(last.err, HasSubstr("1 restart(s) in a row without a new checkpoint (newest: step-00000006)"));
}

TEST_F(BatchScript, RestartsThatSlurmMadeByItselfAreCountedToo) {
  save(4);
  spill(run_ + "/attempts.txt", "t 4711 0 step-00000004\nt 4711 1 step-00000004\n");

  const Outcome outcome = start("exit 0", 2);

  EXPECT_TRUE(ended_with(outcome, 93));
  EXPECT_FALSE(fs::exists(file("words"))) << "no rank was started";
}

TEST_F(BatchScript, RestartsHaveALimit) {
  settings_.set("CARAVAN_MAX_RESTARTS", "3");
  start(saves(1, 75), 2);
  EXPECT_TRUE(slurm_.requeued());
  const Outcome outcome = start(saves(2, 75), 3);
  EXPECT_TRUE(ended_with(outcome, 93));
  EXPECT_THAT(outcome.err, HasSubstr("that was restart 3 of 3: not started again"));
}

TEST_F(BatchScript, TheSignalBeforeTheTimeLimitReachesTheRanks) {
  const Outcome outcome = start("trap 'exit 75' USR1; kill -USR1 $PPID; while :; do sleep 0.05; done");

  EXPECT_TRUE(slurm_.requeued()) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("USR1: asking the ranks to save and leave"));
}

TEST_F(BatchScript, ASignalThatComesTooEarlyIsNotTheRunsFault) {
  const Outcome at_start = start("kill -USR1 $PPID; kill -USR1 $$; sleep 1");  // srun dies of the signal
  EXPECT_TRUE(slurm_.requeued()) << at_start.err;
  EXPECT_THAT(at_start.err, HasSubstr("asked to leave before it could hear it: to be started again"));

  for (int code : {138, 143}) {
    const Outcome unasked = start(fmt::format("exit {}", code));
    EXPECT_TRUE(ended_with(unasked, code));
    EXPECT_FALSE(slurm_.requeued()) << "nobody asked";
  }

  const Outcome cancelled = start("kill -TERM $PPID; sleep 0.2; exit 143");
  EXPECT_TRUE(ended_with(cancelled, 143));
  EXPECT_THAT(cancelled.err, HasSubstr("cancelled: not started again"));
}

TEST_F(BatchScript, AFolderWithAHigherNameDoesNotHideProgress) {
  save(99999999);  // somebody renamed or made it
  save(4);
  start(saves(6, 75), 1);
  EXPECT_TRUE(slurm_.requeued()) << "a new checkpoint is progress";
}

TEST_F(BatchScript, ACancelledJobIsNotStartedAgain) {
  const Outcome outcome = start("kill -TERM $PPID; sleep 0.2; exit 75");

  EXPECT_TRUE(ended_with(outcome, 75));
  EXPECT_FALSE(slurm_.requeued());
  EXPECT_THAT(outcome.err, HasSubstr("cancelled: not started again"));
}

TEST_F(BatchScript, ALinkOfAChainLeavesTheRestToTheNext) {
  settings_.set("CARAVAN_CHAIN", "yes");

  EXPECT_TRUE(ended_with(start("exit 75"), 0));
  EXPECT_FALSE(slurm_.requeued());
  EXPECT_TRUE(ended_with(start("exit 16"), 16)) << "afterok holds the rest of the chain back";
}

TEST_F(BatchScript, ANodeThatKeepsFailingIsReported) {
  spill(run_ + "/failed-nodes.txt", "t n2 a rank was silent in a hang\nt n2 x\nt n1 x\n");
  const Outcome killed = start("exit 137");
  EXPECT_EQ(killed.err.find("took part in"), std::string::npos) << killed.err;
  EXPECT_THAT(slurp(run_ + "/failed-nodes.txt"), HasSubstr(" n1 part of a start that ended with 137\n"));

  const Outcome outcome = start("exit 0");

  EXPECT_THAT(outcome.err, HasSubstr("node n2 took part in 3 failures of this run"));
  EXPECT_EQ(outcome.err.find("node n1"), std::string::npos) << outcome.err;
}

TEST_F(BatchScript, ContainersAndModulesBecomeWords) {
  const std::vector<std::string> mounts{"/a b:/x", "/c:/c"};
  settings_.set("CARAVAN_CONTAINER", "pyxis")
      .set("CARAVAN_IMAGE", "an image.sqsh")
      .set("CARAVAN_MOUNTS", mounts);
  ASSERT_TRUE(ended_with(start("exit 0", 0, "gpu.sbatch"), 0));
  EXPECT_THAT(slurm_.words(),
              ::testing::ElementsAre("--mpi=pmix", "--kill-on-bad-exit=1", "--export=ALL", "--gpu-bind=none",
                                     "--cpu-bind=cores", "--distribution=block:block", "--cpus-per-task=1",
                                     "--container-image=an image.sqsh", "--container-mounts=/a b:/x,/c:/c",
                                     "caravan", "train", file("job.yaml")));

  settings_.set("CARAVAN_CONTAINER", "apptainer");
  ASSERT_TRUE(ended_with(start("exit 0"), 0));
  EXPECT_THAT(slurm_.words(), Contains("/a b:/x,/c:/c"));
  EXPECT_THAT(slurm_.words(), Contains("an image.sqsh"));

  const std::vector<std::string> modules{"cuda/13"};
  settings_.set("CARAVAN_MODULES", modules);
  const Outcome outcome = start("exit 0");
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr("no 'module' command (the site wants cuda/13)"));
}

}  // namespace
}  // namespace caravan::test

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/slurm/slurm_lab.hpp"

// caravan submit on a real Slurm of two nodes: signals, requeues, resumes, hangs, faults, chains.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kLong = 120;  // seconds, of a busy machine

// Both "nodes" share a host name and /dev/shm, which Open MPI takes for one machine: only TCP works between
// them.
constexpr const char* kSite = R"(partition: main
tasks_per_node: 2
exclusive: false
time: "00:30:00"
stop_before_limit: 30
environment: {OMPI_MCA_btl: "self,tcp", OMPI_MCA_btl_tcp_if_include: lo, OMPI_MCA_mpi_yield_when_idle: "1",
              OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", OMP_NUM_THREADS: "1"}
)";

bool wait_until(const std::function<bool()>& holds) {
  const auto start = std::chrono::steady_clock::now();
  while (!holds()) {
    if (std::chrono::steady_clock::now() - start > std::chrono::duration<double>(kLong)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

class SlurmCycle : public JobTest {
 protected:
  static void SetUpTestSuite() {
    if (!SlurmLab::obstacle().empty()) return;
    lab_ = std::make_unique<SlurmLab>();
  }
  static void TearDownTestSuite() { lab_.reset(); }
  void SetUp() override {
    JobTest::SetUp();
    if (!lab_) GTEST_SKIP() << SlurmLab::obstacle();
    ASSERT_EQ(lab_->problem(), "");
    spill(file("site.yaml"), kSite);
  }

  /// The id of the job, or of the last of a chain.
  std::string submit(const std::string& run, int nodes, const std::vector<std::string>& more) const {
    std::vector<std::string> words{"submit",          job(kMiniJob), "output=" + file(run), "--site",
                                   file("site.yaml"), "--nodes",     std::to_string(nodes), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = lab_->run("", words);
    EXPECT_TRUE(ended_with(outcome, 0));
    return nlohmann::json::parse(outcome.out).at("jobs").back().get<std::string>();
  }
  /// What the batch scripts and the ranks of a run have said.
  std::string log(const std::string& run, const std::string& ending = ".txt") const {
    std::string text;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(file(run) + "/slurm", ignored))
      if (entry.path().string().ends_with(ending)) text += slurp(entry.path().string());
    return text;
  }
  /// Of one task of an array.
  std::string task_log(const std::string& run, int task) const {
    return log(run, fmt::format("_{}.txt", task));
  }
  bool says(const std::string& run, const std::string& words) const {
    return wait_until([&] { return log(run).find(words) != std::string::npos; });
  }
  bool has_state(const std::string& id, const std::string& state) const {
    return wait_until([&] { return lab_->field(id, "JobState") == state; });
  }
  /// From the batch script's USR1 to the end, against the same steps in one go.
  void interrupt_and_compare(const std::string& launcher) {
    // Long enough to be interrupted: ranks of srun share the cores better than those of mpirun.
    const std::vector<std::string> steps{launcher == "srun" ? "train.steps=800" : "train.steps=120",
                                         "checkpoint.every=1000000", "watchdog.timeout=30"};
    std::vector<std::string> more{"--set", "launcher=" + launcher};
    more.insert(more.end(), steps.begin(), steps.end());
    const std::string id = submit("stopped", 2, more);
    ASSERT_TRUE(says("stopped", "step 5/")) << log("stopped");
    lab_->run("scancel",
              {"--batch", "--signal=USR1", id});  // as --signal=B:USR1@… does before the time limit

    EXPECT_TRUE(says("stopped", "restart 1, on n[1-2], newest checkpoint: step-")) << log("stopped");
    EXPECT_TRUE(has_state(id, "COMPLETED")) << log("stopped");

    ASSERT_TRUE(ended_with(run(train(file("job.yaml"), "undisturbed", 4, steps)), 0));
    // Open MPI has been seen to die in the start of a restart, which is then started again.
    EXPECT_THAT(lab_->field(id, "Restarts"), ::testing::AnyOf("1", "2")) << log("stopped");
    EXPECT_THAT(log("stopped"), HasSubstr("signal 10 asked to stop: leaving after step "));
    EXPECT_THAT(log("stopped"), HasSubstr("resumed at step "));
    for (const char* key : {"step", "loss", "grad_norm"})
      EXPECT_EQ(series(read_metrics(file("stopped")), key), series(read_metrics(file("undisturbed")), key))
          << key;
  }
  /// The process of one rank of the run that has `text` in its command line.
  static pid_t rank_process(const std::string& text, const std::string& rank) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string process = entry.path().string(), environment = '\0' + slurp(process + "/environ");
      const bool is_rank =
          environment.find(std::string("\0SLURM_PROCID=", 14) + rank + '\0') != std::string::npos;
      if (is_rank && slurp(process + "/comm") == "caravan\n" &&
          slurp(process + "/cmdline").find(text) != std::string::npos)
        return std::stoi(entry.path().filename());
    }
    return 0;
  }

  static std::unique_ptr<SlurmLab> lab_;
};

std::unique_ptr<SlurmLab> SlurmCycle::lab_;

TEST_F(SlurmCycle, RanksOfSrunSaveRequeueAndResumeWithTheVeryLosses) {
  interrupt_and_compare("srun");
}

TEST_F(SlurmCycle, RanksOfMpirunDoSoToo) {
  interrupt_and_compare("mpirun");
}

TEST_F(SlurmCycle, ARankThatHangsEndsTheStartAndTheNodeIsNoted) {
  const std::string id = submit("hung", 2, {"train.steps=200", "checkpoint.every=20", "watchdog.timeout=2"});
  ASSERT_TRUE(wait_until([&] { return io::find_latest(file("hung")).step >= 20; })) << log("hung");
  ASSERT_EQ(::kill(rank_process(file("hung"), "3"), SIGSTOP), 0);

  EXPECT_TRUE(says("hung", "rank 3 on n2 said nothing (stopped, cut off or dead)")) << log("hung");
  EXPECT_TRUE(says("hung", "ended by the watchdog: to be started again"));
  EXPECT_TRUE(has_state(id, "COMPLETED")) << log("hung");
  EXPECT_THAT(slurp(file("hung/failed-nodes.txt")), HasSubstr(" n2 a rank was silent in a hang\n"));
}

TEST_F(SlurmCycle, AFaultOfItsOwnIsNotStartedAgain) {
  const std::string id = submit("fault", 2, {"train.lr=1e30", "train.warmup_steps=0"});

  EXPECT_TRUE(has_state(id, "FAILED")) << log("fault");
  EXPECT_EQ(lab_->field(id, "ExitCode"), "16:0");
  EXPECT_EQ(lab_->field(id, "Restarts"), "0");
  EXPECT_THAT(log("fault"), HasSubstr("exit code 16, the run's own fault: not started again"));
}

TEST_F(SlurmCycle, ATaskOfAnArrayThatIsInterruptedLeavesTheOthersAlone) {
  const std::string id =
      submit("three", 1,
             {"--array", "seed=1,2,3", "--set", "tasks_per_node=1", "train.steps=3000", "train.log_every=250",
              "checkpoint.every=1000000", "metrics.tensorboard=false"});
  const auto task = [&](int index) { return id + "_" + std::to_string(index); };
  ASSERT_TRUE(wait_until([&] { return task_log("three", 2).find("step 250/") != std::string::npos; }))
      << log("three");
  EXPECT_THAT(lab_->run("scontrol", {"--oneliner", "show", "job", task(2)}).out,
              ::testing::StartsWith("JobId=" + id + " "))
      << "the last task has the id of the whole array, which is why this test interrupts it";
  lab_->run("scancel", {"--batch", "--signal=USR1", task(2)});

  for (int index : {0, 1, 2}) {
    const std::string run = file("three/task-" + std::to_string(index));
    EXPECT_TRUE(has_state(task(index), "COMPLETED")) << log("three");
    EXPECT_EQ(lab_->field(task(index), "Restarts"), index == 2 ? "1" : "0") << index;
    EXPECT_EQ(io::find_latest(run).step, 3000) << index;
    EXPECT_EQ(series(read_metrics(run), "step").size(), 3000u) << "every step once: " << index;
  }
  EXPECT_THAT(slurp(file("three/task-2/attempts.txt")), HasSubstr(" " + task(2) + " 1 step-"));
  EXPECT_THAT(task_log("three", 2), HasSubstr("resumed at step "));
  for (int index : {0, 1}) EXPECT_THAT(task_log("three", index), Not(HasSubstr("resumed at step ")));
}

TEST_F(SlurmCycle, AnArrayTrainsEveryCombinationAndAChainGoesOn) {
  const std::string array = submit("sweep", 1, {"--array", "seed=1,2"});
  const std::string last = submit(
      "chain", 1, {"train.steps=4000", "train.log_every=100", "checkpoint.every=1000000", "--chain", "2"});
  ASSERT_TRUE(says("chain", "step 100/")) << log("chain");
  lab_->run("scancel", {"--batch", "--signal=USR1", std::to_string(std::stoi(last) - 1)});

  EXPECT_TRUE(has_state(last, "COMPLETED")) << log("chain");
  EXPECT_THAT(log("chain"), HasSubstr("asked to leave, saved: the next job of the chain goes on"));
  EXPECT_EQ(io::find_latest(file("chain")).step, 4000);
  for (const char* task : {"sweep/task-0", "sweep/task-1"})
    EXPECT_EQ(io::find_latest(file(task)).step, 6) << task;
}

TEST_F(SlurmCycle, WhatSlurmWouldRefuseIsRefusedBefore) {
  const Outcome outcome = lab_->run("", {"submit", job(kMiniJob), "output=" + file("run"), "--site",
                                         file("site.yaml"), "--nodes", "3", "train.global_batch_size=6"});

  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.last_line(), HasSubstr("Slurm refuses the job: "));
  EXPECT_TRUE(fs::is_empty(file("run/slurm"))) << "nothing is left of it";
}

}  // namespace
}  // namespace caravan::test

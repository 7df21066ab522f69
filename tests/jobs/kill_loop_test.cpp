#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"

// One run that dies again and again while it saves, as often as CARAVAN_KILLS says.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int kills() {
  const char* wanted = std::getenv("CARAVAN_KILLS");
  return wanted ? std::atoi(wanted) : 6;
}

class KillLoop : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  Command start(const std::string& run, std::int64_t steps, std::int64_t save_every,
                const std::string& files = "shards") const {
    Command command =
        train(job_, run, 2,
              {fmt::format("train.steps={}", steps), fmt::format("checkpoint.every={}", save_every),
               "checkpoint.files=" + files, "validation.batches=0"});
    command.timeout_s = 900;
    return command;
  }
  std::string job_;
};

TEST_F(KillLoop, LosesNothingThatWasCommittedAndChangesNoNumber) {
  std::mt19937 random(std::random_device{}());
  std::int64_t committed = 0;
  int lives_that_saved = 0;
  for (int kill = 0; kill < kills(); ++kill) {
    SCOPED_TRACE(fmt::format("kill {}", kill));
    Program program(start("killed", 1'000'000, 2, kill % 2 == 0 ? "shards" : "one"), folder_.path());
    ASSERT_TRUE(program.wait_for("\nstep ", 60)) << program.err_so_far();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 400'000));
    const pid_t victim = program.process_of_rank(static_cast<int>(random() % 2));
    if (random() % 2 == 0 || victim <= 0)
      program.kill_all(SIGKILL);
    else
      ::kill(victim, SIGKILL);
    program.wait();
    ASSERT_TRUE(program.all_gone_within(15)) << "ranks outlive the job";
    const std::string err = program.err_so_far();
    EXPECT_THAT(err, Not(HasSubstr("skipped"))) << "no kill leaves half a checkpoint under a step's name";
    EXPECT_THAT(err, HasSubstr(committed > 0 ? fmt::format("resumed at step {} from ", committed) : ""));
    const io::Latest latest = io::find_latest(file("killed"));
    EXPECT_TRUE(latest.skipped.empty()) << latest.skipped.front().why;
    ASSERT_GE(latest.step, committed) << "a checkpoint that was there is gone";
    lives_that_saved += latest.step > committed;
    committed = latest.step;
    if (kill % 20 == 19) std::cout << kill + 1 << " kills, at step " << committed << std::endl;
  }
  ASSERT_TRUE(ended_with(run(start("killed", committed + 4, 2)), 0));
  ASSERT_TRUE(ended_with(run(start("undisturbed", committed + 4, 1'000'000)), 0));

  EXPECT_EQ(results_of(file("killed")), results_of(file("undisturbed")));
  EXPECT_EQ(digests_of(file("killed"), committed + 4), digests_of(file("undisturbed"), committed + 4));
  EXPECT_GT(lives_that_saved, kills() / 2);
  std::cout << kills() << " kills, " << committed + 4 << " steps, " << lives_that_saved
            << " lives saved something new\n";
}

}  // namespace
}  // namespace caravan::test

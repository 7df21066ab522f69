#include "io/checkpoint/run_lock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "caravan/error.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::RunLock;
using ::testing::HasSubstr;

/// A process that holds the run until it is killed.
class Holder {
 public:
  Holder(const std::string& run, const io::RunOwner& owner) {
    int ready[2];
    if (::pipe(ready) != 0) throw Error("no pipe");
    child_ = ::fork();
    if (child_ == 0) {
      const RunLock lock(run, owner);
      [[maybe_unused]] const auto put = ::write(ready[1], "x", 1);
      ::pause();
      ::_exit(0);
    }
    char byte = 0;
    [[maybe_unused]] const auto got = ::read(ready[0], &byte, 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Holder() { die(); }
  void die() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

 private:
  pid_t child_ = 0;
};

TEST(ARunsFolder, BelongsToOneLivingProcess) {
  TemporaryFolder run;
  Holder holder(run.path(), {"node7", 4711, "", 0});
  EXPECT_THAT(
      message_of<IoError>([&] {
        RunLock second(run.path(), {"node8", 1, "", 0});
      }),
      HasSubstr("is in use by process 4711 on node7 (two runs would mix their checkpoints). Wait for it, "
                "or name another output?"));
  holder.die();
  RunLock second(run.path(), {"node8", 1, "", 0});
  second.check();
}

TEST(ARunsFolder, GoesToTheRestartOfTheSameBatchJobAndTheOrphanMayNotCommit) {
  TemporaryFolder run;
  const RunLock orphan(run.path(), {"node7", 1, "812", 0});
  EXPECT_NE(message_of<IoError>([&] { RunLock same(run.path(), {"node8", 2, "812", 0}); }), "");
  EXPECT_NE(message_of<IoError>([&] { RunLock other(run.path(), {"node8", 2, "813", 1}); }), "");
  const RunLock restart(run.path(), {"node8", 2, "812", 1});
  restart.check();
  const auto publish = [&](const RunLock& lock) {
    Sample sample(5);
    io::StagingFolder staging(run.path(), "step-00000005");
    const auto share = io::write_share(
        staging.path(), 0, 1, sample.head(), {io::Piece::whole({"/model/w", DType::f32, {64}})},
        [&](std::size_t) { return TensorView(sample.weight.data(), DType::f32, {64}); });
    io::publish(staging, sample.head(), {share}, &lock);
  };
  EXPECT_THAT(message_of<IoError>([&] { publish(orphan); }),
              HasSubstr("belongs to process 2 on node8, batch job 812 by now (this process was given up"));
  EXPECT_TRUE(io::list_steps(run.path()).empty());
  publish(restart);
  EXPECT_EQ(io::read_manifest(run.file("step-00000005")).generation, restart.generation());
}

constexpr io::Patience kHasty{3, std::chrono::milliseconds(10)};

TEST(ARunsFolder, SurvivesAGenerationFileThatIsNone) {
  TemporaryFolder run;
  spill(run.file("generation.json"), std::string(100, '['));
  const RunLock lock(run.path(), {"node7", 1, "", 0});
  lock.check();
}

TEST(ARunsFolder, OnlyAnotherTokenIsATakeover) {
  TemporaryFolder run;
  const RunLock lock(run.path(), {"node7", 1, "812", 0});
  const std::string mine = slurp(run.file("generation.json"));
  const auto refusal = [&] { return message_of<IoError>([&] { lock.check(kHasty); }); };

  for (const char* none : {"", "{}", "[[["}) {
    spill(run.file("generation.json"), none);
    EXPECT_THAT(refusal(), HasSubstr("still belongs to this process cannot be told (")) << none;
    EXPECT_THAT(refusal(), HasSubstr("generation.json")) << none;
    EXPECT_THAT(refusal(), HasSubstr("; looked 3 times)")) << none;
    EXPECT_EQ(message_of<io::TakenOver>([&] {
                try {
                  lock.check(kHasty);
                } catch (const io::TakenOver&) {
                  throw;
                } catch (const IoError&) {
                }
              }),
              "");
  }
  std::string theirs = mine;
  theirs.replace(theirs.find(lock.generation()), lock.generation().size(), "another");
  spill(run.file("generation.json"), theirs);
  EXPECT_THAT(message_of<io::TakenOver>([&] { lock.check(kHasty); }),
              HasSubstr("belongs to process 1 on node7, batch job 812 by now (this process was given up"));
}

TEST(ARunsFolder, AGenerationThatCannotBeReadForAMomentIsTriedAgain) {
  TemporaryFolder run;
  const RunLock lock(run.path(), {"node7", 1, "", 0});
  const std::string mine = slurp(run.file("generation.json"));
  std::filesystem::remove(run.file("generation.json"));
  std::filesystem::create_directory(run.file("generation.json"));  // reading it fails
  std::thread healing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    std::filesystem::remove(run.file("generation.json"));
    spill(run.file("generation.json"), mine);
  });

  EXPECT_NO_THROW(lock.check({1000, std::chrono::milliseconds(20)}));

  healing.join();
}

TEST(ARunsFolder, AGenerationThatIsMissingIsWrittenAgainByWhoHoldsTheLock) {
  TemporaryFolder run;
  const RunLock lock(run.path(), {"node7", 1, "", 0});
  std::filesystem::remove(run.file("generation.json"));
  ::testing::internal::CaptureStderr();

  lock.check(kHasty);

  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("generation.json is missing although this run holds its folder (was it removed?): "
                        "written again"));
  EXPECT_THAT(slurp(run.file("generation.json")), HasSubstr(lock.generation()));
  lock.check(kHasty);
}

}  // namespace
}  // namespace caravan::test

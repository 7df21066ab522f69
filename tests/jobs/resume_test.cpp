#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "tests/fuzz/sealed_manifest.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"
#include "tests/text/reference.hpp"

// A run that dies at any moment continues with the very numbers of one that was left alone.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kKills = 7;

class Resume : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  Command steps(int count, const std::string& run, int ranks) const {
    return train(job_, run, ranks, {"train.steps=" + std::to_string(count)});
  }
  std::string checkpoint_file(const std::string& run, std::int64_t step) const {
    return file(run) + "/checkpoints/" + io::step_folder(step) + "/" + io::kCheckpointFile;
  }
  std::string job_;
};

void expect_same_steps(const std::vector<nlohmann::json>& resumed,
                       const std::vector<nlohmann::json>& undisturbed) {
  ASSERT_EQ(resumed.size(), undisturbed.size());
  for (std::size_t i = 0; i < resumed.size(); ++i) EXPECT_EQ(resumed[i], undisturbed[i]) << "record " << i;
}

/// Which processes a blow hits; what is left must end by itself.
enum class Blow { everything, launcher, rank_0, rank_1 };

void strike(const Program& program, Blow blow) {
  if (blow == Blow::everything) return program.kill_all(SIGKILL);
  const pid_t target =
      blow == Blow::launcher ? program.launcher() : program.process_of_rank(blow == Blow::rank_0 ? 0 : 1);
  if (target > 0) ::kill(target, SIGKILL);
}

TEST_F(Resume, KilledAtAnyMomentItContinuesBitForBit) {
  constexpr int kSteps = 63;
  ASSERT_TRUE(ended_with(run(steps(kSteps, "undisturbed", 2)), 0));
  std::mt19937 random(20251121);
  for (int kill = 0; kill < kKills; ++kill) {
    Program program(steps(kSteps - 3, "killed", 2), folder_.path());  // the rest is for the last start
    if (!program.wait_for("\nstep ", 60)) break;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 600'000));
    strike(program, static_cast<Blow>(kill % 4));
    program.wait();
    ASSERT_TRUE(program.all_gone_within(15)) << "ranks outlive the job";
  }

  const Outcome last = run(steps(kSteps, "killed", 2));

  ASSERT_TRUE(ended_with(last, 0));
  EXPECT_THAT(last.err, HasSubstr("resumed at step "));
  EXPECT_THAT(last.err, Not(HasSubstr("skipped"))) << "no kill leaves half a checkpoint under a step's name";
  expect_same_steps(results_of(file("killed")), results_of(file("undisturbed")));
  EXPECT_EQ(digests_of(file("killed"), kSteps), digests_of(file("undisturbed"), kSteps));
  for (const auto& entry : fs::directory_iterator(file("killed") + "/checkpoints")) {
    EXPECT_TRUE(io::step_of(entry.path().filename().string())) << entry.path() << " is left over";
  }
}

TEST_F(Resume, AnotherNumberOfRanksSeesTheSameSamples) {
  ASSERT_TRUE(ended_with(run(steps(12, "undisturbed", 1)), 0));
  const auto undisturbed = read_metrics(file("undisturbed"));
  for (const auto& [before, after] : {std::pair(1, 2), std::pair(2, 1)}) {
    const std::string name = "from-" + std::to_string(before);
    ASSERT_TRUE(ended_with(run(steps(6, name, before)), 0));
    const Outcome outcome = run(steps(12, name, after));
    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, HasSubstr("resumed at step 6"));
    const auto metrics = read_metrics(file(name));
    EXPECT_EQ(series(metrics, "step"), series(undisturbed, "step"));
    EXPECT_EQ(series(metrics, "valid_tokens"), series(undisturbed, "valid_tokens"));
    for (const char* key : {"loss", "grad_norm"}) {
      EXPECT_LE(largest_relative_difference(series(metrics, key), series(undisturbed, key)), 1e-5) << key;
    }
  }
}

TEST_F(Resume, DamageIsNamedAndTheCheckpointBeforeIsTaken) {
  ASSERT_TRUE(ended_with(run(steps(9, "undisturbed", 1)), 0));
  const std::vector<std::pair<std::string, std::function<void(const std::string&)>>> damages{
      {"a flipped byte",
       [](const std::string& path) {
         std::string bytes = slurp(path);
         bytes[bytes.size() / 2] ^= 1;
         spill(path, bytes);
       }},
      {"a cut file", [](const std::string& path) { fs::resize_file(path, fs::file_size(path) - 1); }},
      {"no manifest",
       [](const std::string& path) { fs::remove(fs::path(path).parent_path() / io::kManifestFile); }},
  };
  for (const auto& [what, damage] : damages) {
    SCOPED_TRACE(what);
    fs::remove_all(file("run"));
    fs::copy(file("undisturbed"), file("run"), fs::copy_options::recursive);
    damage(checkpoint_file("run", 9));

    const Outcome outcome = run(steps(9, "run", 1));

    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, HasSubstr("skipped " + file("run") + "/checkpoints/step-00000009: "));
    EXPECT_THAT(outcome.err, HasSubstr("resumed at step 6 from "));
    expect_same_steps(results_of(file("run")), results_of(file("undisturbed")));
    EXPECT_EQ(digests_of(file("run"), 9), digests_of(file("undisturbed"), 9));
  }
}

TEST_F(Resume, AFolderWhoseNameDisagreesWithItsManifestIsNamedAndChangesNothing) {
  ASSERT_TRUE(ended_with(run(steps(9, "undisturbed", 1)), 0));
  ASSERT_TRUE(ended_with(run(steps(6, "run", 1)), 0));
  const std::string folder = file("run/checkpoints/");
  fs::rename(folder + "step-00000003", folder + "step-99999999");
  fs::create_directory(folder + "step-00000100");

  const Outcome outcome = run(train(job_, "run", 1, {"train.steps=9", "checkpoint.keep_latest=1"}));

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("warning ignored " + folder +
                        "step-99999999: its manifest is that of step 3 (was the folder renamed"));
  EXPECT_THAT(outcome.err, HasSubstr("warning ignored " + folder + "step-00000100: it is empty"));
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 6 from "));
  EXPECT_THAT(io::list_steps(file("run")), ::testing::ElementsAre(9, 100, 99999999));
  EXPECT_EQ(digests_of(file("run"), 9), digests_of(file("undisturbed"), 9));
}

TEST_F(Resume, ACursorThatNoRunReachesIsRefused) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  const std::string path = file("run/checkpoints/step-00000003/manifest.json"), text = slurp(path);
  const std::vector<nlohmann::json> cursors{{{"int", -7}}, {{"int", 9223372036854775807}}, {{"text", "7"}}};
  for (const nlohmann::json& cursor : cursors) {
    auto body = nlohmann::json::parse(text).at("manifest");
    body["values"]["/state/next_sample"] = cursor;
    spill(path, fuzz::sealed_manifest(body.dump()));

    const Outcome outcome = run(steps(6, "run", 0));

    EXPECT_TRUE(ended_with(outcome, 3)) << cursor;
    EXPECT_THAT(outcome.err,
                HasSubstr("skipped " + file("run/checkpoints/step-00000003") + ": /state/next_sample of "));
    EXPECT_THAT(outcome.err, ::testing::AnyOf(HasSubstr("(no run counts below 0 or above"),
                                              HasSubstr("is no whole number")));
  }
}

TEST_F(Resume, AnExportThatIsMissingIsMadeByTheNextStart) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  for (const char* said : {"only the export is left", "nothing to do"}) {
    const Outcome outcome = run(train(job_, "run", 0, {"train.steps=3", "checkpoint.export=fp32"}));
    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, HasSubstr(said));
    EXPECT_TRUE(fs::exists(file("run/export/step-00000003/manifest.json")));
  }
}

TEST_F(Resume, ASecondStartThatDoesStepsAgainKeepsTheFormerRecords) {
  for (int start = 0; start < 2; ++start)
    ASSERT_TRUE(ended_with(run(train(job_, "run", 0, {"train.steps=3", "checkpoint.enabled=false"})), 0));
  EXPECT_EQ(series(read_metrics(file("run")), "step"), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(series(read_json_lines(file("run/metrics.former.jsonl")), "step"),
            (std::vector<double>{1, 2, 3}));
}

TEST_F(Resume, WithoutAnyWholeCheckpointNothingIsReplaced) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  fs::resize_file(checkpoint_file("run", 3), 1000);
  const std::string metrics = slurp(file("run/metrics.jsonl"));

  const Outcome outcome = run(steps(6, "run", 0));

  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.last_line(), HasSubstr("no checkpoint of " + file("run") + " verifies"));
  EXPECT_EQ(fs::file_size(checkpoint_file("run", 3)), 1000u);
  EXPECT_EQ(slurp(file("run/metrics.jsonl")), metrics);
}

TEST_F(Resume, AFreshStartInAnOldFolderIsRefused) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  const std::string metrics = slurp(file("run/metrics.jsonl"));

  const Outcome outcome = run(train(job_, "run", 0, {"checkpoint.resume=false"}));

  ASSERT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.last_line(),
              HasSubstr("run holds checkpoints up to step 3 and checkpoint.resume is false"));
  EXPECT_EQ(slurp(file("run/metrics.jsonl")), metrics);
}

TEST_F(Resume, AnotherModelsCheckpointIsRefused) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  const std::vector<std::pair<std::string, std::string>> cases{
      {"model.layers=3", "/model/layers.2.attention_norm.weight is missing in it"},
      {"model.layers=1", "is not in the job"},
      {"model.dim=64", "/model/tok_embeddings.weight is [64, 32] instead of [64, 64]"},
      {"model.load_balance_rate=0", "is not in the job"},
  };
  for (const auto& [change, message] : cases) {
    const Outcome outcome = run(train(job_, "run", 0, {change, "checkpoint.allow_changes=[model.*]"}));
    EXPECT_TRUE(ended_with(outcome, 3)) << change;
    EXPECT_THAT(outcome.last_line(), HasSubstr("step-00000003 does not fit the job: ")) << change;
    EXPECT_THAT(outcome.last_line(), HasSubstr(message)) << change;
  }
  EXPECT_EQ(io::find_latest(file("run")).step, 3);
}

TEST_F(Resume, AFinishedRunSaysSo) {
  ASSERT_TRUE(ended_with(run(steps(3, "run", 0)), 0));
  const std::string metrics = slurp(file("run/metrics.jsonl"));

  const Outcome outcome = run(steps(3, "run", 0));

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.last_line(), HasSubstr("nothing to do: step 3 of 3 is done"));
  EXPECT_EQ(slurp(file("run/metrics.jsonl")), metrics);
}

}  // namespace
}  // namespace caravan::test

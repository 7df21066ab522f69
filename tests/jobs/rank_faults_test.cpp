#include <gmock/gmock.h>

#include <csignal>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/script.hpp"

// One rank of two is not like the other: the job ends at once, and says which rank and what differs.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kSoon = 10;  // seconds; a start takes less than one on an idle machine

class RankFaults : public JobTest {
 protected:
  /// Both ranks run the job, rank 1 after the shell's `lines`.
  Outcome with_rank_1(const std::string& lines, const std::string& yaml = kMiniJob,
                      const std::vector<std::string>& overrides = {}) const {
    Command command = train(job(yaml), "run", 2, overrides);
    command.program = script_of_rank_1(file("rank.sh"), lines);
    return run(command);
  }
  void expect_refusal(const Outcome& outcome, int code, const std::string& message) const {
    EXPECT_TRUE(ended_with(outcome, code)) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_THAT(outcome.err, Not(HasSubstr("step 1/")));
    EXPECT_LT(outcome.seconds, kSoon);
    EXPECT_FALSE(fs::exists(file("run/checkpoints")));
  }
  static std::string with_data(const std::string& data) {
    std::string yaml = kMiniJob;
    const std::string from = "{source: synthetic, vocab_size: 64}";
    return yaml.replace(yaml.find(from), from.size(), data);
  }
};

TEST_F(RankFaults, AnotherJobOnOneRankIsNamedByKeyAndRank) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"train.lr=2e-3", "rank 1 has train.lr=2e-3, rank 0 has 1e-3"},
      {"seed=6", "rank 1 has seed=6, rank 0 has 5"},
      {"train.global_batch_size=8", "rank 1 has train.global_batch_size=8, rank 0 has 4"},
      {"model.rope_theta=10000", "rank 1 has model.rope_theta=10000, rank 0 has 500000"},
      {"model.layers=3", "rank 1 has model.layers=3, rank 0 has 2"},
      {"data.vocab_size=32", "rank 1 has data.vocab_size=32, rank 0 has 64"},
      {"parallel.pipeline=2", "rank 1 has parallel.pipeline=2, rank 0 has 1"},
      {"output=/nowhere", "rank 1 has output=/nowhere, rank 0 has " + file("run")}};
  for (const auto& [change, message] : cases)
    expect_refusal(with_rank_1("more=(" + change + ")"), 2, "ranks disagree on the job: " + message);
}

TEST_F(RankFaults, OtherDataBehindTheSamePathIsNamedByDigest) {
  for (const char* folder : {"node0", "node1"}) fs::create_directory(file(folder));
  Batches(16, 16, 64).write(file("node0/rows.safetensors"));
  Batches(16, 16, 63).write(file("node1/rows.safetensors"));
  const std::string yaml =
      with_data("{source: safetensors, wrap: true, path: /proc/self/cwd/rows.safetensors}");
  Command command = train(job(yaml), "run", 2);
  command.program = script(file("rank.sh"), "cd " + file("node") + kShellRank);

  expect_refusal(run(command), 3, "ranks disagree on the training data: rank 1 has digest=xxh3:");

  fs::remove(file("node1/rows.safetensors"));
  expect_refusal(run(command), 3, "error [rank 1] cannot open /proc/self/cwd/rows.safetensors");
}

TEST_F(RankFaults, AnotherTokenizerBehindTheSamePathIsNamedByDigest) {
  for (const std::string node : {"node0", "node1"}) {
    fs::create_directory(file(node));
    spill(file(node + "/a.txt"),
          "in the beginning was the word, and the word was with the beginning of the word");
    spill(file(node + "/learn.txt"), node == "node0" ? "the word the word the word" : "beginning beginning");
    ASSERT_TRUE(ended_with(caravan({"tokenizer", "train", "--input", file(node + "/learn.txt"),
                                    "--vocab-size", "259", "--output", file(node + "/t.json")}),
                           0));
  }
  std::string yaml =
      with_data("{source: text, path: [/proc/self/cwd/a.txt], tokenizer: /proc/self/cwd/t.json}");
  yaml.replace(yaml.find("vocab_size: 64"), 14, "vocab_size: 300");
  Command command = train(job(yaml), "run", 2);
  command.program = script(file("rank.sh"), "cd " + file("node") + kShellRank);

  const Outcome outcome = run(command);

  expect_refusal(outcome, 3, "ranks disagree on the training data: ");
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 has tokenizer_digest=sha256:"));
}

TEST_F(RankFaults, AnotherBuildOfAPluginIsNamedByFileAndDigest) {
  fs::create_directory(file("plugins"));
  for (const auto& entry : fs::directory_iterator(CARAVAN_FAILING_PLUGINS))
    fs::copy_file(entry.path(), fs::path(file("plugins")) / entry.path().filename());
  for (const auto& entry : fs::directory_iterator(file("plugins")))
    std::ofstream(entry.path(), std::ios::app) << "another build";
  Command command =
      train(job(with_data("{source: failing, when: read, how: io, sample: 1000000}")), "run", 2);
  command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FAILING_PLUGINS;
  command.program = script_of_rank_1(file("rank.sh"), "export CARAVAN_PLUGIN_PATH=" + file("plugins"));

  const Outcome outcome = run(command);

  expect_refusal(outcome, 2, "ranks disagree on plugin failing-data: rank 0 has ");
  EXPECT_THAT(outcome.err, HasSubstr(", rank 1 has " + file("plugins")));
}

TEST_F(RankFaults, AJobFileThatOneRankLacksIsNamed) {
  Command command = train(job(kMiniJob), "run", 2);
  command.program =
      script_of_rank_1(file("rank.sh"), "set -- train " + file("elsewhere.yaml") + " \"${@:3}\"");
  expect_refusal(run(command), 2, "error [rank 1] cannot open " + file("elsewhere.yaml"));
}

TEST_F(RankFaults, AFullDiskOfOneRankIsNamed) {
  const Outcome outcome = with_rank_1(
      "export LD_PRELOAD=" CARAVAN_FAULT_SHIM " FAULT_AT=1 FAULT_KIND=28 FAULT_FOLDER=" + file("run"),
      kMiniJob, {"checkpoint.on_failure=stop", "checkpoint.every=2"});
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("checkpoint of step 2 failed: on rank 1: "));
  EXPECT_THAT(outcome.err, HasSubstr("No space left on device"));
  EXPECT_LT(outcome.seconds, kSoon);
  EXPECT_FALSE(io::find_latest(file("run")).path);
}

TEST_F(RankFaults, ARankThatIsStoppedIsNamed) {
  Program program(train(job(kMiniJob), "run", 2,
                        {"train.steps=1000000", "checkpoint.every=1000000", "watchdog.timeout=1"}),
                  folder_.path());
  ASSERT_TRUE(program.wait_for("\nstep 1/", 60)) << program.err_so_far();
  ASSERT_TRUE(program.signal_rank(1, SIGSTOP));
  const auto stopped = std::chrono::steady_clock::now();
  const Outcome outcome = program.wait();
  EXPECT_TRUE(ended_with(outcome, 124));
  EXPECT_THAT(outcome.err, HasSubstr("(watchdog.timeout): rank 1 on "));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - stopped).count(), kSoon);
}

}  // namespace
}  // namespace caravan::test

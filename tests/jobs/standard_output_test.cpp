#include <gmock/gmock.h>

#include "tests/jobs/small_run.hpp"

// What a verb prints arrives, or the verb does not exit with 0.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class StandardOutput : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (!IsSkipped()) small_ = &SmallRun::get();
  }
  /// The executable behind a shell's redirection.
  Outcome redirected(const std::string& redirection, const std::string& arguments, int ranks = 0) const {
    const std::string line = "exec \"$CARAVAN_BINARY\" " + arguments + " " + redirection;
    return run({{"-c", line}, ranks, {}, 60, "/bin/sh"});
  }
  /// Everything that prints, at least once a verb.
  std::vector<std::string> printing() const {
    const std::string model = "--model " + small_->run() + " --device host";
    const std::string tokenizer = " --tokenizer " + small_->tokenizer();
    std::vector<std::string> all{"--help", "--version"};
    for (const char* verb : {"train", "submit", "forward", "generate", "schedule", "plugins", "tokenizer",
                             "data", "inspect", "bench", "bench ops", "tokenizer train"})
      all.push_back(std::string(verb) + " --help");
    const std::vector<std::string> working{
        "plugins list",
        "plugins list --json",
        "plugins describe schedule/1f1b",
        "plugins describe schedule/1f1b --json",
        "plugins describe schedule/1f1b --markdown",
        "plugins new schedule mine --dir " + file("skeleton"),
        "train " + small_->job() + " --dry-run",
        "generate " + model + " --prompt-ids '1 2' --max-new-tokens 2",
        "generate " + model + " --prompt-ids '1 2' --max-new-tokens 2 --json",
        "forward " + model + " --inputs " + small_->inputs() + " --outputs " + file("out.safetensors"),
        "schedule 1f1b --ranks 2 --microbatches 2",
        "schedule 1f1b --ranks 2 --microbatches 2 --format csv",
        "schedule 1f1b --ranks 2 --microbatches 2 --format csv --output /dev/stdout",
        "schedule 1f1b --ranks 2 --microbatches 2 --json",
        "inspect " + small_->run(),
        "inspect " + small_->run() + " --json",
        "inspect " + small_->run() + " --job",
        "tokenizer encode x" + tokenizer,
        "tokenizer decode 65" + tokenizer,
        "tokenizer train --vocab-size 260 --input " + small_->text() + " --output " + file("learned.json"),
        "data prepare --input " + small_->text() + " --output " + file("shards") + tokenizer,
        "submit " + small_->job() + " --site debug --print"};
    all.insert(all.end(), working.begin(), working.end());
    return all;
  }
  const SmallRun* small_ = nullptr;
};

TEST_F(StandardOutput, OnAFullDiskIsAnErrorOfEveryVerb) {
  for (const std::string& arguments : printing()) {
    const Outcome outcome = redirected("> /dev/full", arguments);
    EXPECT_TRUE(ended_with(outcome, 3)) << arguments;
    EXPECT_THAT(outcome.last_line(), HasSubstr("(No space left on device)")) << arguments;
    EXPECT_EQ(outcome.errors(), 1) << arguments;
    std::filesystem::remove_all(file("skeleton"));
    std::filesystem::remove_all(file("shards"));
  }
}

TEST_F(StandardOutput, ThatIsClosedIsAnErrorOfEveryVerb) {
  for (const std::string& arguments : printing()) {
    const Outcome outcome = redirected(">&-", arguments);
    EXPECT_TRUE(ended_with(outcome, 3)) << arguments;
    EXPECT_THAT(outcome.last_line(), HasSubstr("(Bad file descriptor)")) << arguments;
    std::filesystem::remove_all(file("skeleton"));
    std::filesystem::remove_all(file("shards"));
  }
}

TEST_F(StandardOutput, ThatIsClosedIsNotTheFirstFileThatIsOpened) {
  const std::string learn =
      "tokenizer train --vocab-size 260 --input " + small_->text() + " --output " + file("learned.json");
  ASSERT_TRUE(ended_with(redirected("<&- >&- 2>&-", learn), 3));
  EXPECT_TRUE(nlohmann::json::accept(slurp(file("learned.json")))) << "no message stands in the file";
}

TEST_F(StandardOutput, OfADryRunOnTwoRanksIsCheckedToo) {
  const Outcome outcome = redirected("> /dev/full", "train " + small_->job() + " --dry-run", 2);
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("cannot write to standard output (No space left on device)"));
}

TEST_F(StandardOutput, ARunThatPrintsNothingThereNeedsNone) {
  EXPECT_TRUE(
      ended_with(redirected(">&-", "train " + small_->job() + " train.steps=1 output=" + file("run")), 0));
}

}  // namespace
}  // namespace caravan::test

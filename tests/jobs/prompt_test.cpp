#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// What `caravan generate` makes of a prompt with the tokenizers of public bug reports.
namespace caravan::test {
namespace {

TEST_F(JobTest, ThePostProcessorSaysWhatStandsAroundAPrompt) {
  const std::string folder = case_file("bos");
  if (folder.empty()) GTEST_SKIP() << "no bos in CARAVAN_CASES_DIR";
  ASSERT_TRUE(ended_with(
      run(train(job(kMiniJob), "run", 1, {"model.vocab_size=1000", "data.vocab_size=1000", "train.steps=2"})),
      0));
  int tokenizers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto expected = nlohmann::json::parse(slurp(entry.path() / "expected.json"));
    const auto generate = [&](std::vector<std::string> more) {
      std::vector<std::string> arguments{"generate",         "--model",  file("run"),      "--tokenizer",
                                         entry.path(),       "--prompt", expected["text"], "--json",
                                         "--max-new-tokens", "1"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Outcome outcome = caravan(arguments);
      EXPECT_TRUE(ended_with(outcome, 0)) << outcome.err;
      return nlohmann::json::parse(outcome.out)["prompt_ids"];
    };
    EXPECT_EQ(generate({}), expected["ids"]) << entry.path();
    const std::size_t bos = expected["ids"][0] == 0 ? 1 : 0;
    EXPECT_EQ(generate({"--no-bos"}).size() + bos, expected["ids"].size()) << entry.path();
    ++tokenizers;
  }
  EXPECT_EQ(tokenizers, 5);
}

}  // namespace
}  // namespace caravan::test

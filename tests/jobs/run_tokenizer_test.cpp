#include <gmock/gmock.h>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/text/tokenizer_files.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/script.hpp"

// The tokenizer that a run was trained with goes where the run goes.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kJob = R"(device: host
model: {vocab_size: 270, dim: 32, layers: 1, heads: 2, width_multiple_of: 32}
data: {source: tokens, path: shards}
train: {steps: 2, sequence_length: 16, local_batch_size: 2, lr: 1e-3, warmup_steps: 1}
checkpoint: {every: 2, export: fp32}
)";

class RunTokenizer : public JobTest {
 protected:
  /// Shards of one tokenizer in the folder `here`, a run of two steps there, and, at the side, another
  /// tokenizer under the very path that the job names.
  void SetUp() override {
    JobTest::SetUp();
    spill(file("text"),
          "And the evening and the morning were the first day, and the light of the day was good.\n");
    spill(file("other-text"),
          "Zwei mal zwei ist vier, und drei mal drei ist neun, und neun ist mehr als vier.\n");
    for (const char* folder : {"here/shards", "elsewhere/shards"}) fs::create_directories(file(folder));
    learn("text", file("here/shards/tokenizer.json"));
    learn("other-text", file("elsewhere/shards/tokenizer.json"));
    prepare(file("here/shards"));
    spill(file("here/job.yaml"), kJob);
    ASSERT_TRUE(ended_with(in("here", {"train", "job.yaml", "output=run"}), 0));
  }
  void learn(const std::string& text, const std::string& output) const {
    ASSERT_TRUE(ended_with(
        caravan({"tokenizer", "train", "--input", file(text), "--vocab-size", "270", "--output", output}),
        0));
  }
  void prepare(const std::string& shards) const {
    ASSERT_TRUE(ended_with(caravan({"data", "prepare", "--input", file("text"), "--tokenizer",
                                    shards + "/tokenizer.json", "--output", shards}),
                           0));
  }
  Outcome in(const std::string& folder, const std::vector<std::string>& arguments) const {
    Command command{arguments, 0, {}, 60};
    command.program = script(file("in.sh"), "cd " + file(folder));
    return run(command);
  }
  Outcome generate(const std::string& folder, const std::string& model,
                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"generate",     "--model",          model,      "--prompt",
                                       "the day",      "--greedy",         "--device", "host",
                                       "--ignore-eos", "--max-new-tokens", "8",        "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return in(folder, arguments);
  }
  std::string text_from(const std::string& folder, const std::string& model) const {
    const Outcome outcome = generate(folder, model);
    EXPECT_TRUE(ended_with(outcome, 0)) << model;
    return outcome.code == 0 ? nlohmann::json::parse(outcome.out).at("text").get<std::string>() : "";
  }
  std::string digest(const std::string& tokenizer) const { return io::tokenizer_digest(file(tokenizer)); }
  std::string step(const std::string& kind) const {
    return file("here/run/" + kind + "/") + io::step_folder(2);
  }
};

TEST_F(RunTokenizer, EveryFolderDecodesWithTheRunsOwn) {
  const std::string right = text_from("here", "run");
  EXPECT_EQ(text_from("elsewhere", "../here/run"), right);
  EXPECT_EQ(text_from("elsewhere", step("checkpoints")), right);
  EXPECT_EQ(text_from("elsewhere", step("export")), right);
  EXPECT_EQ(text_from(".", "here/run"), right);

  fs::copy(step("checkpoints"), file("elsewhere/alone"), fs::copy_options::recursive);
  fs::rename(file("here/run"), file("elsewhere/run"));
  fs::remove_all(file("here"));
  EXPECT_EQ(text_from("elsewhere", "run"), right);
  EXPECT_EQ(text_from("elsewhere", "alone"), right);
}

TEST_F(RunTokenizer, AnotherTokenizerIsRefusedNamingBothDigests) {
  const std::string own = digest("here/shards/tokenizer.json"),
                    other = digest("elsewhere/shards/tokenizer.json");
  const auto expect_refusal = [&](const Outcome& outcome) {
    EXPECT_TRUE(ended_with(outcome, 3));
    EXPECT_THAT(outcome.last_line(), HasSubstr(" has the digest " + other));
    EXPECT_THAT(outcome.last_line(), HasSubstr("trained with " + own));
  };
  expect_refusal(generate("elsewhere", "../here/run", {"--tokenizer", "shards"}));
  EXPECT_TRUE(ended_with(generate("elsewhere", "../here/run", {"--tokenizer", "../here/shards"}), 0));

  for (const std::string& folder : {step("checkpoints"), step("export")}) {
    fs::remove(folder + "/tokenizer.json");  // a link to the run's: the others keep theirs
    fs::copy_file(file("elsewhere/shards/tokenizer.json"), folder + "/tokenizer.json");
    expect_refusal(generate("here", folder));
  }
}

TEST_F(RunTokenizer, DataOfAnotherTokenizerDoesNotGoOnNorStartFromIt) {
  fs::remove_all(file("here/shards"));
  fs::create_directories(file("here/shards"));
  fs::copy_file(file("elsewhere/shards/tokenizer.json"), file("here/shards/tokenizer.json"));
  prepare(file("here/shards"));

  const Outcome resumed = in("here", {"train", "job.yaml", "output=run", "train.steps=4"});
  EXPECT_TRUE(ended_with(resumed, 3));
  EXPECT_THAT(resumed.last_line(), HasSubstr("data.tokenizer_digest sha256:"));

  const Outcome started = in("here", {"train", "job.yaml", "output=new", "checkpoint.initial_load=run"});
  EXPECT_TRUE(ended_with(started, 3));
  EXPECT_THAT(started.last_line(), HasSubstr("was trained with the tokenizer sha256:"));
  EXPECT_TRUE(ended_with(in("here", {"train", "job.yaml", "output=new", "checkpoint.initial_load=run",
                                     "checkpoint.allow_changes=[data.tokenizer_digest]"}),
                         0));
}

TEST_F(RunTokenizer, ATokenizerBesideShardsThatDidNotMakeThemIsRefused) {
  fs::copy_file(file("elsewhere/shards/tokenizer.json"), file("here/shards/tokenizer.json"),
                fs::copy_options::overwrite_existing);
  const Outcome outcome = in("here", {"train", "job.yaml", "output=new"});
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.last_line(), HasSubstr("(the data was made with the tokenizer sha256:"));
}

TEST_F(RunTokenizer, ValidationDataOfAnotherTokenizerIsRefusedUnlessTheJobAllowsIt) {
  prepare(file("elsewhere/shards"));
  const std::string other = "validation={every: 1, batches: 1, data: {path: " + file("elsewhere/shards") +
                            ", validation_fraction: 0.5}}";
  for (const char* how : {"--dry-run", "train.steps=2"}) {
    const Outcome outcome = in("here", {"train", "job.yaml", "output=validated", other, how});
    EXPECT_TRUE(ended_with(outcome, 3)) << how;
    EXPECT_THAT(outcome.err, HasSubstr("the validation data was made with the tokenizer " +
                                       digest("elsewhere/shards/tokenizer.json")));
  }
  EXPECT_TRUE(ended_with(in("here", {"train", "job.yaml", "output=allowed", other,
                                     "checkpoint.allow_changes=[data.tokenizer_digest]"}),
                         0));
}

TEST_F(RunTokenizer, TokensThatTheTokenizerLacksAreNotDrawn) {
  ASSERT_TRUE(ended_with(in("here", {"train", "job.yaml", "output=wide", "model.vocab_size=4000"}), 0));
  const Outcome outcome =
      in("here", {"generate", "--model", "wide", "--prompt", "the day", "--temperature", "5", "--top-p", "1",
                  "--device", "host", "--max-new-tokens", "50", "--json"});
  ASSERT_TRUE(ended_with(outcome, 0));
  for (const auto& id : nlohmann::json::parse(outcome.out).at("ids")) EXPECT_LT(id.get<int>(), 270);
  EXPECT_THAT(outcome.err, HasSubstr("the model has 4000 tokens and the tokenizer "));
}

TEST_F(RunTokenizer, AListOfTextsIsTheSameRunFromAnyFolder) {
  spill(file("here/texts.list"), "a.txt\n");
  fs::copy_file(file("text"), file("here/a.txt"));
  fs::copy_file(file("other-text"), file("elsewhere/a.txt"));
  const std::string data = "data={source: text, path: ['@texts.list'], tokenizer: shards/tokenizer.json}";
  ASSERT_TRUE(ended_with(in("here", {"train", "job.yaml", "output=listed", data}), 0));
  EXPECT_THAT(slurp(file("here/listed/job.yaml")), HasSubstr(file("here/a.txt")));
  const Outcome again = in("elsewhere", {"train", file("here/listed/job.yaml"), "train.steps=3"});
  EXPECT_TRUE(ended_with(again, 0));
  EXPECT_THAT(again.err, HasSubstr("resumed at step 2"));
}

TEST_F(RunTokenizer, VerifyingACheckpointComparesItsTokenizer) {
  EXPECT_TRUE(ended_with(caravan({"inspect", file("here/run"), "--verify"}), 0));
  fs::remove(step("checkpoints") + "/tokenizer.json");  // a link: the run's own stays as it is
  fs::copy_file(file("elsewhere/shards/tokenizer.json"), step("checkpoints") + "/tokenizer.json");
  const Outcome outcome = caravan({"inspect", file("here/run"), "--verify"});
  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.out, HasSubstr(digest("elsewhere/shards/tokenizer.json")));
}

TEST_F(RunTokenizer, ARunOfAnOlderVersionStartsFromWhereItStands) {
  const std::string right = text_from("here", "run");
  io::Manifest manifest = io::read_manifest(step("checkpoints"));
  std::erase_if(manifest.values, [](const auto& value) { return value.first != "/state/next_sample"; });
  manifest.job = std::string(kJob) + "output: run\n";
  fs::remove(step("checkpoints") + "/" + io::kManifestFile);
  io::write_manifest(step("checkpoints"), manifest);
  for (const std::string& folder : {file("here/run"), step("checkpoints")})
    fs::remove(folder + "/tokenizer.json");

  const Outcome outcome = generate("elsewhere", "../here/run");
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(nlohmann::json::parse(outcome.out).at("text"), right);
  EXPECT_THAT(outcome.err, HasSubstr("does not say which tokenizer it was trained with; "));

  fs::rename(file("here/run"), file("elsewhere/renamed"));  // nothing says any more where it was started
  const Outcome moved = generate("elsewhere", "renamed");
  EXPECT_TRUE(ended_with(moved, 2));
  EXPECT_THAT(moved.last_line(), HasSubstr("renamed names no tokenizer (needed for --prompt)"));
}

}  // namespace
}  // namespace caravan::test

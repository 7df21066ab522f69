#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/jobs/small_run.hpp"

// Every verb's output file: devices, links and modes stay what they are, and no output is an input. The
// device is a node of our own: a mistake would replace it.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

using Arguments = std::vector<std::string>;

class OutputFiles : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (!IsSkipped()) small_ = &SmallRun::get();
  }
  /// Every verb that writes a file which its user names, writing `path`.
  std::vector<Arguments> verbs_writing(const std::string& path) const {
    const Arguments forward{"forward",        "--model",  small_->run(), "--inputs",
                            small_->inputs(), "--device", "host"};
    const auto with = [&](Arguments more) {
      more.insert(more.begin(), forward.begin(), forward.end());
      return more;
    };
    return {with({"--outputs", path}),
            with({"--outputs", file("other"), "--gradients", path}),
            {"schedule", "1f1b", "--ranks", "2", "--microbatches", "2", "--format", "svg", "--output", path},
            {"inspect", small_->run(), "--norms", "--svg", path},
            {"inspect", small_->run(), "--export", "norm.weight", path},
            {"tokenizer", "train", "--input", small_->text(), "--vocab-size", "260", "--output", path}};
  }
  const SmallRun* small_ = nullptr;
};

TEST_F(OutputFiles, ADeviceStaysADevice) {
  const std::string device = file("null");
  if (::mknod(device.c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "mknod needs root";
  for (const Arguments& verb : verbs_writing(device)) {
    EXPECT_TRUE(ended_with(caravan(verb), 0)) << verb[0];
    struct stat status {};
    ASSERT_EQ(::lstat(device.c_str(), &status), 0);
    EXPECT_TRUE(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) << verb[0];
  }
}

TEST_F(OutputFiles, ALinkStaysALinkAndItsTargetKeepsItsMode) {
  fs::create_symlink("target", file("link"));
  for (const Arguments& verb : verbs_writing(file("link"))) {
    spill(file("target"), "old");
    ASSERT_EQ(::chmod(file("target").c_str(), 0600), 0);
    EXPECT_TRUE(ended_with(caravan(verb), 0)) << verb[0];
    EXPECT_TRUE(fs::is_symlink(file("link"))) << verb[0];
    EXPECT_GT(fs::file_size(file("target")), 10u) << verb[0];
    EXPECT_EQ(fs::status(file("target")).permissions(), fs::perms::owner_read | fs::perms::owner_write)
        << verb[0];
  }
}

TEST_F(OutputFiles, AFolderAndAnUnreadFifoAreRefusedAtOnce) {
  fs::create_directory(file("folder"));
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  for (const Arguments& verb : verbs_writing(file("folder"))) {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, 3)) << verb[0];
    EXPECT_THAT(outcome.err, HasSubstr("folder is a folder (an output is a file"));
  }
  for (const Arguments& verb : verbs_writing(file("fifo"))) {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, 3)) << verb[0];
    EXPECT_THAT(outcome.err, HasSubstr("nobody reads"));
  }
}

TEST_F(OutputFiles, StandardOutputByItsNameIsWritten) {
  const Arguments verb{"schedule", "1f1b",     "--ranks", "2",        "--microbatches",
                       "2",        "--format", "csv",     "--output", "/dev/stdout"};
  EXPECT_EQ(caravan(verb).out, slurp(small_->schedule()));
}

TEST_F(OutputFiles, NoOutputTakesThePlaceOfWhatCaravanKeeps) {
  fs::copy(small_->run(), file("run"), fs::copy_options::recursive);
  fs::create_directory(file("shards"));
  ASSERT_TRUE(ended_with(caravan({"data", "prepare", "--input", small_->text(), "--tokenizer",
                                  small_->tokenizer(), "--output", file("shards")}),
                         0));
  const std::string tokenizer = slurp(file("shards/tokenizer.json")), own = slurp(file("run/tokenizer.json")),
                    step = file("run/checkpoints/step-00000002");
  const auto learn = [&](const std::string& path) {
    return Arguments{"tokenizer",    "train", "--input",  small_->text(),
                     "--vocab-size", "260",   "--output", path};
  };
  fs::create_symlink(step + "/new", file("link"));
  const std::vector<Arguments> cases{learn(file("shards/tokenizer.json")),
                                     learn(file("run/tokenizer.json")),
                                     learn(file("run/job.yaml")),
                                     {"plot", file("run"), "--csv", file("run/metrics.csv")},
                                     learn(file("run/samples.jsonl")),
                                     learn(file("link")),
                                     {"inspect", file("run"), "--norms", "--svg", step + "/shard-00000.h5"}};
  for (const Arguments& verb : cases) {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, 2)) << ::testing::PrintToString(verb);
    EXPECT_THAT(outcome.err, HasSubstr("would stand in "));
  }
  EXPECT_EQ(slurp(file("shards/tokenizer.json")), tokenizer);
  EXPECT_EQ(slurp(file("run/tokenizer.json")), own);
  EXPECT_FALSE(fs::exists(step + "/new"));
  EXPECT_TRUE(ended_with(caravan({"inspect", file("run"), "--norms", "--svg", file("run/norms.svg")}), 0));
}

TEST_F(OutputFiles, NoRunStandsInACheckpointOrAmongShards) {
  fs::copy(small_->run(), file("run"), fs::copy_options::recursive);
  ASSERT_TRUE(ended_with(caravan({"data", "prepare", "--input", small_->text(), "--tokenizer",
                                  small_->tokenizer(), "--output", file("shards")}),
                         0));
  spill(file("file"), "");
  const std::string step = file("run/checkpoints/step-00000002"),
                    tokenizer = slurp(file("shards/tokenizer.json"));
  const std::vector<std::pair<std::string, int>> cases{
      {file("shards"), 2},    {file("shards/deep"), 2},     {step, 2},
      {step + "/inner", 2},   {file("run/checkpoints"), 2}, {file("file"), 3},
      {file("file/inner"), 3}};
  for (const auto& [output, code] : cases) {
    for (const char* how : {"--dry-run", "train.steps=2"}) {
      const Outcome outcome = caravan({"train", small_->job(), "output=" + output, how});
      EXPECT_TRUE(ended_with(outcome, code)) << output << " " << how;
      EXPECT_THAT(outcome.err, HasSubstr("Another "));
    }
  }
  EXPECT_EQ(slurp(file("shards/tokenizer.json")), tokenizer);
  EXPECT_FALSE(fs::exists(step + "/job.yaml"));
}

TEST_F(OutputFiles, NoPreparationWritesIntoTheFolderOfItsTexts) {
  fs::create_directory(file("texts"));
  fs::copy_file(small_->text(), file("texts/a.txt"));
  for (const char* output : {"texts", "texts/shards"}) {
    const Outcome outcome = caravan({"data", "prepare", "--input", file("texts"), "--tokenizer",
                                     small_->tokenizer(), "--output", file(output)});
    EXPECT_TRUE(ended_with(outcome, 2)) << output;
    EXPECT_THAT(outcome.err, HasSubstr("lies in the folder"));
  }
  EXPECT_TRUE(ended_with(caravan({"data", "prepare", "--input", file("texts"), "--tokenizer",
                                  small_->tokenizer(), "--output", file("texts-shards")}),
                         0));
}

TEST_F(OutputFiles, NoOutputIsAnInputOrAnotherOutput) {
  fs::copy(small_->run(), file("run"), fs::copy_options::recursive);
  const std::string step = file("run/checkpoints/step-00000002"), inputs = file("in.safetensors");
  for (const auto& [from, to] : {std::pair(small_->inputs(), inputs),
                                 {small_->text(), file("text")},
                                 {small_->schedule(), file("plan.csv")}})
    fs::copy_file(from, to);
  fs::create_symlink("in.safetensors", file("link"));
  fs::create_symlink(".", file("here"));
  const auto forward = [&](const std::string& outputs, const std::string& gradients) {
    return Arguments{"forward", "--model",   file("run"), "--inputs",    inputs,   "--device",
                     "host",    "--outputs", outputs,     "--gradients", gradients};
  };
  const std::vector<Arguments> cases{
      forward(file("o"), file("o")),
      forward(file("o"), file("here/o")),
      forward(file("link"), file("g")),
      forward(file("o"), inputs),
      forward(step + "/checkpoint.h5", file("g")),
      forward(file("o"), step + "/manifest.json"),
      {"inspect", file("run"), "--norms", "--svg", step + "/checkpoint.h5"},
      {"inspect", step, "--export", "norm.weight", step + "/manifest.json"},
      {"inspect", file("run"), "--experts", "--svg", file("run/metrics.jsonl")},
      {"schedule", "csv", "--csv", file("plan.csv"), "--format", "csv", "--output", file("here/plan.csv")},
      {"schedule", "csv", "file=" + file("plan.csv"), "--format", "csv", "--output", file("plan.csv")},
      {"tokenizer", "train", "--input", file("text"), "--vocab-size", "260", "--output", file("text")}};
  for (const Arguments& verb : cases) {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, 2)) << ::testing::PrintToString(verb);
    EXPECT_THAT(outcome.err, HasSubstr("are one file"));
  }
  EXPECT_FALSE(fs::exists(file("o")) || fs::exists(file("g")));
  EXPECT_EQ(slurp(inputs), slurp(small_->inputs()));
  EXPECT_TRUE(ended_with(caravan({"inspect", file("run"), "--verify"}), 0));
}

}  // namespace
}  // namespace caravan::test

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/jobs/small_run.hpp"
#include "tests/text/reference.hpp"

// Where a file is expected stands a FIFO that nobody writes, or a link. Waiting would be for ever.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

using Arguments = std::vector<std::string>;

class SpecialFiles : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (IsSkipped()) return;
    small_ = &SmallRun::get();
    fs::copy(small_->run(), file("run"), fs::copy_options::recursive);
  }
  void put_fifo(const std::string& path) const {
    fs::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  }
  void expect_refused(const Arguments& verb, const std::string& fifo, int code = 3) const {
    const Outcome outcome = caravan(verb);
    EXPECT_TRUE(ended_with(outcome, code)) << ::testing::PrintToString(verb);
    EXPECT_THAT(outcome.err, HasSubstr(fifo + " is not a regular file (it is a FIFO)"));
    EXPECT_TRUE(fs::is_fifo(fifo)) << "and it stays";
  }
  Arguments forward(const std::string& model, const std::string& inputs) const {
    return {"forward",  "--model", model, "--inputs", inputs, "--outputs", file("o.safetensors"),
            "--device", "host"};
  }
  const SmallRun* small_ = nullptr;
};

TEST_F(SpecialFiles, NamedByTheUserAreRefused) {
  const std::string fifo = file("fifo");
  put_fifo(fifo);
  put_fifo(fifo + ".yaml");
  expect_refused({"train", fifo, "output=" + file("new")}, fifo, 2);
  expect_refused(forward(file("run"), fifo), fifo);
  expect_refused({"schedule", "csv", "--csv", fifo}, fifo);
  expect_refused({"tokenizer", "encode", "--tokenizer", fifo, "x"}, fifo);
  expect_refused({"tokenizer", "train", "--input", fifo, "--vocab-size", "260", "--output", file("t")}, fifo);
  expect_refused({"submit", small_->job(), "--site", fifo + ".yaml", "--print"}, fifo + ".yaml", 2);
}

TEST_F(SpecialFiles, InACheckpointAreRefused) {
  const std::string step = file("run/checkpoints/step-00000002");
  for (const char* name : {"manifest.json", "checkpoint.h5"}) {
    put_fifo(step + "/" + name);
    for (const Arguments& verb : {Arguments{"inspect", step}, forward(step, small_->inputs()),
                                  Arguments{"inspect", step, "--verify"}}) {
      const Outcome outcome = caravan(verb);
      EXPECT_TRUE(ended_with(outcome, 3)) << ::testing::PrintToString(verb);
      EXPECT_THAT(outcome.out + outcome.err, HasSubstr("is not a regular file (it is a FIFO)"));
    }
  }
}

TEST_F(SpecialFiles, InARunAreRefused) {
  put_fifo(file("run/metrics.jsonl"));
  expect_refused({"inspect", file("run"), "--experts"}, file("run/metrics.jsonl"));
  for (const char* name : {"metrics.jsonl", "run.lock"}) {
    put_fifo(file("run") + "/" + name);
    expect_refused(train(small_->job(), "run", 0, {"train.steps=4"}).arguments, file("run") + "/" + name);
    fs::remove(file("run") + "/" + name);
  }
}

TEST_F(SpecialFiles, InAHuggingFaceFolderAreRefused) {
  CARAVAN_NEED_REFERENCE(reference, "tiny_scout");
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors",
                           "model.safetensors.index.json", "tokenizer.json"}) {
    fs::remove_all(file("model"));
    fs::copy(reference, file("model"));
    if (std::string_view(name).ends_with(".index.json")) fs::remove(file("model/model.safetensors"));
    put_fifo(file("model") + "/" + name);
    expect_refused({"generate", "--model", file("model"), "--prompt-ids", "1", "--device", "host"},
                   file("model") + "/" + name);
  }
}

TEST_F(SpecialFiles, LinksInARunLeadOursNowhere) {
  spill(file("theirs"), "theirs");
  for (const char* name : {"heartbeat.json.next", "heartbeat.json"})
    fs::create_symlink(file("theirs"), file("run") + "/" + name);
  EXPECT_TRUE(ended_with(run(train(small_->job(), "run", 0, {"train.steps=3"})), 0));
  for (const char* name : {"metrics.jsonl", "run.lock", "generation.json"}) {
    const std::string path = file("run") + "/" + name, aside = file("aside");
    fs::rename(path, aside);
    fs::create_symlink(file("theirs"), path);
    const Outcome outcome = run(train(small_->job(), "run", 0, {"train.steps=4"}));
    EXPECT_TRUE(ended_with(outcome, 3)) << name;
    EXPECT_THAT(outcome.err, HasSubstr(path + " is a symbolic link")) << name;
    fs::remove(path);
    fs::rename(aside, path);
  }
  EXPECT_EQ(slurp(file("theirs")), "theirs");
}

}  // namespace
}  // namespace caravan::test

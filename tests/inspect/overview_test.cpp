#include <sys/stat.h>

#include "io/files/sandbox.hpp"
#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class Overview : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    for (std::int64_t step : {1, 2}) {
      step_path_ = SmallCheckpoint(folder_.path(), step)
                       .add("/model/tok_embeddings.weight", std::vector<float>(48), {6, 8})
                       .add("/model/layers.0.attention.wq.weight", std::vector<float>(32), {4, 8})
                       .add("/model/layers.10.attention.wq.weight", std::vector<float>(32), {4, 8})
                       .add("/model/layers.2.attention.wq.weight", std::vector<float>(32), {4, 8})
                       .add("/model/layers.0.moe.experts.w1", std::vector<float>(32), {2, 2, 8})
                       .add("/optimizer/exp_avg/norm.weight", std::vector<float>(8), {8})
                       .add("/state/next_sample", std::int64_t{12})
                       .commit();
    }
  }
  /// Flips a bit outside of every tensor.
  void damage_structure(const std::string& step_path) const {
    std::string bytes = slurp(step_path + "/checkpoint.h5");
    bytes[40] = static_cast<char>(bytes[40] ^ 1);
    spill(step_path + "/checkpoint.h5", bytes);
  }
  void damage_tensor(const std::string& step_path) const {
    std::string bytes = slurp(step_path + "/checkpoint.h5");
    const auto offset = offset_of(step_path, "/model/layers.0.moe.experts.w1");
    bytes[offset] = 1;
    spill(step_path + "/checkpoint.h5", bytes);
  }
  std::string step_path_;
};

TEST_F(Overview, ShowsTheNewestOfARunAsATree) {
  const Outcome outcome = inspect({folder_.path()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part :
       {"step 2, 4,096 tokens seen", "layout: one rank", "structure only", "/optimizer/exp_avg",
        "moe.experts.w1", "[2, 2, 8]", "next_sample", "= 12", "parameters  176"}) {
    EXPECT_THAT(outcome.out, HasSubstr(part));
  }
  EXPECT_LT(outcome.out.find("2.attention"), outcome.out.find("10.attention")) << "layers in order";
  EXPECT_THAT(outcome.out, Not(HasSubstr("\033["))) << "no colours in a file";
}

TEST_F(Overview, ChoosesTensorsByGlobAndLevelsByDepth) {
  const Outcome some = inspect({step_path_, "--tensors", "layers.0.*", "--tensors", "/optimizer/*"});
  EXPECT_THAT(some.out, HasSubstr("experts.w1"));
  EXPECT_THAT(some.out, HasSubstr("norm.weight"));
  EXPECT_THAT(some.out, Not(HasSubstr("tok_embeddings")));
  EXPECT_THAT(some.out, Not(HasSubstr("next_sample")));
  const Outcome shallow = inspect({step_path_, "--depth", "1"});
  EXPECT_THAT(shallow.out, HasSubstr("5 tensors"));
  EXPECT_THAT(shallow.out, Not(HasSubstr("attention.wq")));
  const Outcome none = inspect({step_path_, "--tensors", "tok_embedings.weight"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err,
              HasSubstr("no tensor matches tok_embedings.weight. Did you mean tok_embeddings.weight?"));
}

TEST_F(Overview, GivesJsonWithCountsByKind) {
  const json shown = inspect_json({step_path_});
  EXPECT_EQ(shown["step"], 2);
  EXPECT_EQ(shown["tokens_seen"], 4096);
  EXPECT_EQ(shown["verified"], "structure");
  EXPECT_EQ(shown["parameters"], (json{{"total", 176},
                                       {"active", nullptr},
                                       {"dense_in_all", 144},
                                       {"sparse_in_all", 32},
                                       {"embedding", 48},
                                       {"attention", 96},
                                       {"expert", 32}}));
  EXPECT_EQ(shown["values"]["/state/next_sample"], 12);
  EXPECT_EQ(shown["tensors"].size(), 6u);
  EXPECT_EQ(
      shown["tensors"].back(),
      (json{{"name", "/optimizer/exp_avg/norm.weight"}, {"dtype", "f32"}, {"shape", {8}}, {"bytes", 32}}));
}

TEST_F(Overview, PrintsTheStoredJob) {
  const Outcome outcome = inspect({step_path_ + "/checkpoint.h5", "--job"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "seed: 7\n");
  EXPECT_EQ(inspect_json({step_path_, "--job"})["job"], "seed: 7\n");
}

TEST_F(Overview, VerifiesEveryByteOnRequest) {
  EXPECT_EQ(inspect({folder_.path(), "--verify"}).code, 0);
  damage_tensor(step_path_);
  const Outcome outcome = inspect({step_path_, "--verify"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("/model/layers.0.moe.experts.w1"));
  const json shown = inspect_json({folder_.path(), "--verify"}, 3);
  ASSERT_EQ(shown["checkpoints"].size(), 2u);
  EXPECT_EQ(shown["verified"], false);
  EXPECT_EQ(shown["checkpoints"][0]["verified"], false);
  EXPECT_EQ(shown["checkpoints"][1]["verified"], true);
  EXPECT_EQ(inspect({step_path_}).code, 0) << "its structure is whole";
}

TEST_F(Overview, OfARunWalksBackAndSaysWhatItSkipped) {
  damage_structure(step_path_);
  const json shown = inspect_json({folder_.path()});
  EXPECT_EQ(shown["step"], 1);
  ASSERT_EQ(shown["skipped"].size(), 1u);
  EXPECT_THAT(shown["skipped"][0]["why"].get<std::string>(), HasSubstr("is damaged"));
  EXPECT_EQ(inspect({step_path_}).code, 3);
}

TEST_F(Overview, ForeignFilesAreListedWithoutTrust) {
  if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
  std::filesystem::rename(step_path_ + "/checkpoint.h5", file("x.h5"));
  const Outcome outcome = inspect({file("x.h5")});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("nothing is verified"));
  EXPECT_THAT(outcome.out, HasSubstr("0.attention.wq.weight"));
  EXPECT_EQ(inspect({file("x.h5"), "--verify"}).code, 2);
  EXPECT_EQ(inspect({file("x.h5"), "--job"}).code, 2);
}

TEST_F(Overview, RefusalsExitWithThree) {
  spill(file("x.h5"), "no hdf5");
  EXPECT_EQ(inspect({file("x.h5")}).code, 3);
  EXPECT_EQ(inspect({"/nowhere"}).code, 3);
  EXPECT_EQ(inspect({"/dev/zero"}).code, 3);
  ASSERT_EQ(::mkfifo(file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(inspect({file("pipe")}).code, 3) << "without waiting for a writer";
  EXPECT_EQ(inspect({}).code, 2);
}

TEST_F(Overview, NamesOfAFileCannotSteerATerminal) {
  const std::string hostile = SmallCheckpoint(file("run"), 1, "model: {plugin: /tmp/evil.so}\n")
                                  .add("/model/layers.0.moe.experts.w1", std::vector<float>(4), {2, 2})
                                  .add("/state/text", std::string("\033[31mred\n\r"))
                                  .commit();
  const Outcome outcome = inspect({hostile});
  EXPECT_THAT(outcome.out, HasSubstr("\\u001b[31mred\\u000a\\u000d"));
  EXPECT_THAT(outcome.out, HasSubstr("unknown: its job names no plain model plugin"));
}

}  // namespace
}  // namespace caravan::test

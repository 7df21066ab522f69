#include <cmath>

#include "io/safetensors/reader.hpp"
#include "tests/jobs/close_logits.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// The released architecture, tiny, as transformers writes and computes it, through `caravan forward` and
// `generate`.
namespace caravan::test {
namespace {

constexpr double kLogitTolerance = 2e-5, kGradientTolerance = 1e-4;

struct Case {
  std::string model, device;
  int ranks;
  int tensor = 1, expert = 1, context = 1;  ///< ranks that divide matrices, experts, and sequences
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const Case& test = info.param;
  return test.model + "_" + test.device + "_" + std::to_string(test.ranks) + "_tensor" +
         std::to_string(test.tensor) + "_expert" + std::to_string(test.expert) + "_context" +
         std::to_string(test.context);
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::abs(a[i] - b[i]));
  return largest;
}

class ReleasedModels : public JobTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (GetParam().device == "cuda" && !has_gpu()) GTEST_SKIP() << "no NVIDIA GPU";
    expected_path_ = reference_file(GetParam().model + "/expected_outputs.safetensors");
    if (expected_path_.empty()) GTEST_SKIP() << "no " << GetParam().model << " in CARAVAN_REFERENCE_DIR";
    model_ = reference_file(GetParam().model);
  }
  Outcome forward(const std::string& precision) const {
    return run(
        {{"forward", "--model", model_, "--inputs", expected_path_, "--outputs", file("out.safetensors"),
          "--gradients", file("gradients.safetensors"), "--device", GetParam().device, "--precision",
          precision, "--tensor", std::to_string(GetParam().tensor), "--expert",
          std::to_string(GetParam().expert), "--context", std::to_string(GetParam().context)},
         GetParam().ranks,
         {},
         60});
  }
  std::string model_, expected_path_;
};

void expect_same_routing(const io::SafetensorsFile& answers, const io::SafetensorsFile& expected) {
  int routers = 0;
  for (const std::string& name : expected.names()) {
    if (!name.starts_with("router.")) continue;
    ++routers;
    ASSERT_TRUE(answers.has(name)) << name;
    const auto ours = answers.read_as_f32(name), theirs = expected.read_as_f32(name);
    EXPECT_LE(largest_difference(ours, theirs), kLogitTolerance) << name;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      ASSERT_EQ(ours[i] != 0, theirs[i] != 0) << name << ": another choice at element " << i;
    }
  }
  EXPECT_GT(routers, 0);
}

TEST_P(ReleasedModels, LogitsLossRoutingAndEveryGradientAreThoseOfTransformers) {
  ASSERT_TRUE(ended_with(forward("fp32"), 0));
  const io::SafetensorsFile answers(file("out.safetensors")), expected(expected_path_);

  EXPECT_LE(largest_difference(answers.read_as_f32("logits"), expected.read_as_f32("logits_f64")),
            kLogitTolerance);
  EXPECT_NEAR(answers.read_as_f32("loss")[0], expected.read_as_f32("loss")[0], 1e-5);
  expect_same_routing(answers, expected);
  const io::SafetensorsFile gradients(file("gradients.safetensors"));
  const io::SafetensorsFile wanted(reference_file(GetParam().model + "/expected_grads.safetensors"));
  EXPECT_EQ(gradients.names().size(), wanted.names().size());
  for (const std::string& name : wanted.names()) {
    ASSERT_TRUE(gradients.has(name)) << name;
    EXPECT_EQ(gradients.info(name).extents, wanted.info(name).extents) << name;
    EXPECT_LE(norm_of_difference(gradients.read_as_f32(name), wanted.read_as_f32(name)), kGradientTolerance)
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ReleasedModels,
    ::testing::Values(Case{"tiny_scout", "reference", 1}, Case{"tiny_scout", "host", 1},
                      Case{"tiny_scout", "host", 2}, Case{"tiny_maverick", "reference", 2},
                      Case{"tiny_maverick", "host", 1}, Case{"tiny_maverick", "host", 2},
                      Case{"tiny_maverick", "reference", 1}, Case{"tiny_scout", "reference", 2},
                      Case{"tiny_scout", "cuda", 1}, Case{"tiny_scout", "host", 2, 2},
                      Case{"tiny_scout", "reference", 4, 2, 4}, Case{"tiny_maverick", "reference", 4, 4},
                      Case{"tiny_maverick", "host", 3, 1}, Case{"tiny_maverick", "host", 2, 1, 2},
                      Case{"tiny_scout", "host", 2, 1, 1, 2}, Case{"tiny_maverick", "reference", 2, 1, 1, 2},
                      Case{"tiny_scout", "reference", 4, 2, 1, 2}, Case{"tiny_maverick", "host", 4, 2, 1, 2},
                      Case{"tiny_maverick", "host", 3, 1, 1, 3}, Case{"tiny_scout", "host", 4, 1, 4, 2},
                      Case{"tiny_maverick", "host", 4, 2, 4, 2}, Case{"tiny_maverick", "cuda", 1}),
    name_of);

class InBf16 : public ReleasedModels {};

TEST_P(InBf16, LogitsAndLossAreClose) {
  ASSERT_TRUE(ended_with(forward("bf16"), 0));
  expect_close_logits(io::SafetensorsFile(file("out.safetensors")), io::SafetensorsFile(expected_path_));
}

INSTANTIATE_TEST_SUITE_P(All, InBf16,
                         ::testing::Values(Case{"tiny_scout", "cuda", 1}, Case{"tiny_maverick", "cuda", 1}),
                         name_of);

class GreedyDecoding : public ReleasedModels {};

TEST_P(GreedyDecoding, TheCachedPathContinuesAsTransformersDoes) {
  const io::SafetensorsFile expected(expected_path_);
  std::string prompt;
  for (std::int64_t id : expected.read_as_i64("greedy_prompt")) prompt += std::to_string(id) + " ";

  const Outcome outcome =
      run({{"generate", "--model", model_, "--prompt-ids", prompt, "--greedy", "--ignore-eos",
            "--max-new-tokens", "24", "--device", GetParam().device, "--precision", "fp32", "--json",
            "--tensor", std::to_string(GetParam().tensor), "--expert", std::to_string(GetParam().expert)},
           GetParam().ranks,
           {},
           60});

  ASSERT_TRUE(ended_with(outcome, 0));
  const auto answer = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(answer["ids"].get<std::vector<std::int64_t>>(), expected.read_as_i64("greedy_new"));
  EXPECT_EQ(answer["stop"], "length");
}

INSTANTIATE_TEST_SUITE_P(All, GreedyDecoding,
                         ::testing::Values(Case{"tiny_scout", "reference", 1}, Case{"tiny_scout", "host", 1},
                                           Case{"tiny_maverick", "reference", 1},
                                           Case{"tiny_maverick", "host", 1}, Case{"tiny_scout", "cuda", 1},
                                           Case{"tiny_maverick", "cuda", 1}, Case{"tiny_scout", "host", 2, 2},
                                           Case{"tiny_maverick", "reference", 4, 2, 4}),
                         name_of);

}  // namespace
}  // namespace caravan::test

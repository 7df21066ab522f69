#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// Jobs that keep less for the backward: their losses, what a dry run and the benchmark say of them, and what
// they refuse.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RecomputeJob : public JobTest {
 protected:
  std::vector<nlohmann::json> steps_of(const std::string& recompute) {
    const std::string name = "run" + std::to_string(runs_++);
    const Outcome outcome = run(train(job(kMiniJob), name, 0, {"train.recompute=" + recompute}));
    EXPECT_TRUE(ended_with(outcome, 0)) << recompute;
    return outcome.code == 0 ? read_metrics(file(name)) : std::vector<nlohmann::json>{};
  }
  Outcome dry_run(const std::string& recompute) {
    Command command = train(job(kMiniJob), "dry", 0, {"train.recompute=" + recompute});
    command.arguments.emplace_back("--dry-run");
    return run(command);
  }

  int runs_ = 0;
};

TEST_F(RecomputeJob, HasTheSameLossesAndNormsToTheBit) {
  const auto none = steps_of("none");
  ASSERT_EQ(none.size(), 6u);
  for (const char* recompute : {"full", "selective", "stage", "{every: 2}", "{selective: [norm, dispatch]}",
                                "{budget: 0.85}", "{selective: []}"}) {
    SCOPED_TRACE(recompute);
    const auto steps = steps_of(recompute);
    EXPECT_EQ(series(steps, "loss"), series(none, "loss"));
    EXPECT_EQ(series(steps, "grad_norm"), series(none, "grad_norm"));
  }
}

TEST_F(RecomputeJob, IsDescribedByADryRun) {
  const Outcome selective = dry_run("selective");
  ASSERT_TRUE(ended_with(selective, 0));
  EXPECT_THAT(selective.out,
              HasSubstr("# recomputation on rank 0\n"
                        "  2 x layers.0 .. layers.1: keeps input, attention; repeats norm, qkv\n"
                        "  1 x layers.0 .. layers.0: keeps input, swiglu.in; repeats norm, "
                        "swiglu.out\n"
                        "  1 x layers.1 .. layers.1: keeps input, swiglu.in, router, experts.in; "
                        "repeats norm, swiglu.out, dispatch, experts.activated\n"
                        "  activations kept from forward to backward: "));
  EXPECT_THAT(dry_run("{every: 2}").out, HasSubstr("keeps nothing; repeats input, norm, qkv, attention\n"));
  EXPECT_THAT(dry_run("none").out, Not(HasSubstr("# recomputation")));
}

TEST_F(RecomputeJob, MeasuresPartsForABudget) {
  const Outcome some = dry_run("{budget: 0.85}");
  ASSERT_TRUE(ended_with(some, 0));
  EXPECT_THAT(some.out,
              HasSubstr("# forward of each section, measured\n  attention of layers.0\n    norm  "));
  EXPECT_THAT(some.out, HasSubstr("# recomputation on rank 0\n"));
  EXPECT_THAT(dry_run("{budget: 1}").out, Not(HasSubstr("# recomputation")));
  EXPECT_THAT(dry_run("{budget: 1e9}").out, Not(HasSubstr("# recomputation")));
}

TEST_F(RecomputeJob, IsRefusedWithWhatWouldBeRight) {
  const auto expect_refused = [&](const std::string& recompute, const std::string& message) {
    const Outcome outcome = dry_run(recompute);
    EXPECT_TRUE(ended_with(outcome, 2)) << recompute;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  expect_refused("ful",
                 "train.recompute='ful' (must be one of: none, selective, full, stage; or a map of keys). "
                 "Did you mean 'full'?");
  expect_refused("{evry: 2}", "unknown key 'evry' in train.recompute");
  expect_refused("{every: 0}", "train.recompute.every=0 (must be >= 1)");
  expect_refused("{every: 2, budget: 0.5}",
                 "train.recompute has 2 keys (one of every, selective and budget)");
  expect_refused("{}", "train.recompute has 0 keys");
  expect_refused("{every: null}", "train.recompute.every has no value");
  expect_refused("{selective: [atention]}",
                 "train.recompute keeps 'atention' (no layer of this model has that section). Did you mean "
                 "'attention'?");
  expect_refused("{budget: 0.01}", "(with everything repeated they take ");
}

/// Arithmetic alone: the reference device computes in bf16 as a GPU does, and nothing runs.
TEST_F(RecomputeJob, KeepsFewOfTheActivationsOfALargeModel) {
  const Outcome outcome = caravan({"bench", "recompute", "--preset", "bench-mini8", "--batch", "4",
                                   "--sequence", "4096", "--device", "reference", "--precision", "bf16",
                                   "--repeats", "0", "--modes", "none,full,every=2,selective", "--json"});
  ASSERT_TRUE(ended_with(outcome, 0));
  const auto modes = nlohmann::json::parse(outcome.out).at("modes");
  const auto kept = [&](std::size_t mode) { return modes.at(mode).at("kept_bytes").get<double>(); };
  EXPECT_LE(kept(1) / kept(0), 0.15) << "full";
  EXPECT_LE(kept(2) / kept(0), 0.15) << "every=2";
  EXPECT_LE(kept(3) / kept(0), 0.55) << "selective";
}

TEST_F(RecomputeJob, IsMeasuredByABenchmark) {
  const Outcome outcome =
      caravan({"bench", "recompute", "--device", "host", "--batch", "1", "--sequence", "32", "--repeats", "2",
               "--json", "--modes", "none,selective=attention+qkv,budget=0.7,budget=0.9", "layers=16",
               "dim=32", "vocab_size=64"});
  ASSERT_TRUE(ended_with(outcome, 0));
  const auto modes = nlohmann::json::parse(outcome.out).at("modes");
  ASSERT_EQ(modes.size(), 4u);
  const auto bytes = [&](std::size_t mode) {
    return modes[mode].at("kept_bytes").get<double>() + modes[mode].at("working_bytes").get<double>();
  };
  for (const auto& mode : modes) {
    EXPECT_GT(mode.at("median_s").get<double>(), 0);
    EXPECT_EQ(mode.at("loss"), modes[0].at("loss"));
  }
  EXPECT_LT(modes[1].at("kept_bytes"), modes[0].at("kept_bytes"));
  EXPECT_LE(bytes(2), 0.7 * bytes(0));
  EXPECT_LE(bytes(3), 0.9 * bytes(0));
  EXPECT_GT(bytes(3), 0.7 * bytes(0)) << "what there is room for is kept";
}

}  // namespace
}  // namespace caravan::test

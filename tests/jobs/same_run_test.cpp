#include <gmock/gmock.h>

#include "caravan/config.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"
#include "tests/jobs/script.hpp"

// A run that goes on is the run that was left, or says what is not.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class SameRun : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    job_ = job(kMiniJob);
  }
  /// A run of two steps, at which its only checkpoint stands.
  void start(const std::string& yaml = kMiniJob, const std::string& name = "run") const {
    ASSERT_TRUE(ended_with(run(train(job(yaml), name, 0, {"train.steps=2"})), 0));
  }
  Outcome go_on(const std::vector<std::string>& overrides, int ranks = 0) const {
    return run(train(job_, "run", ranks, overrides));
  }
  /// Makes the checkpoint what an older version would have written.
  void rewrite_manifest(const std::function<void(io::Manifest&)>& change) const {
    const std::string folder = file("run/checkpoints/") + io::step_folder(2);
    io::Manifest manifest = io::read_manifest(folder);
    change(manifest);
    fs::remove(folder + "/" + io::kManifestFile);
    io::write_manifest(folder, manifest);
  }
  std::string job_;
};

std::string without_data() {
  const std::string yaml = kMiniJob;
  return yaml.substr(0, yaml.find("data: ")) + yaml.substr(yaml.find("train: "));
}

TEST_F(SameRun, AnotherFunctionOrOrderIsRefusedByKey) {
  start();
  const std::vector<std::pair<std::string, std::string>> cases{
      {"seed=6", "seed 5 -> 6"},
      {"model.rope_theta=10000", "model.rope_theta 500000 -> 10000"},
      {"model.top_k=2", "model.top_k 1 -> 2"},
      {"model.norm_eps=1e-6", "model.norm_eps 1e-5 -> 1e-6"},
      {"model.heads=4", "model.heads 2 -> 4"},
      {"model.dropout=0.1", "model.dropout 0 -> 0.1"},
      {"model.layers=3", "model.layers 2 -> 3"},
      {"train.sequence_length=8", "train.sequence_length 16 -> 8"},
      {"data.vocab_size=32", "data.vocab_size 64 -> 32, data.digest fnv1a:"},
      {"optimizer.decay_norms=false", "optimizer.decay_norms true -> false"}};
  for (const auto& [change, message] : cases) {
    const Outcome outcome = go_on({change});
    EXPECT_TRUE(ended_with(outcome, 3)) << change;
    EXPECT_THAT(outcome.last_line(), HasSubstr("step-00000002 was written by another run: " + message))
        << change;
    EXPECT_THAT(outcome.last_line(),
                HasSubstr("checkpoint.allow_changes=[" + change.substr(0, change.find('='))))
        << change;
  }
  EXPECT_TRUE(fs::exists(file("run/checkpoints/") + io::step_folder(2)));
}

TEST_F(SameRun, WhatTheJobAllowsChangesAndIsSaid) {
  start();
  const Outcome outcome = go_on(
      {"model.norm_eps=1e-6", "seed=6", "checkpoint.allow_changes=[model.norm_*, seed]", "train.steps=4"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("warning changed since the checkpoint, as checkpoint.allow_changes says: seed 5 "
                        "-> 6, model.norm_eps 1e-5 -> 1e-6"));
  const Outcome typo = go_on({"checkpoint.allow_changes=[model.norm_esp]"});
  EXPECT_TRUE(ended_with(typo, 2));
  EXPECT_THAT(typo.last_line(), HasSubstr("Did you mean 'model.norm_eps'?"));
}

TEST_F(SameRun, WhatMayChangeIsSaidInOneLine) {
  ASSERT_TRUE(ended_with(go_on({"train.steps=2", "train.warmup_steps=1"}), 0));
  const Outcome grown = go_on({"train.steps=4", "train.warmup_steps=1"});
  ASSERT_TRUE(ended_with(grown, 0));
  EXPECT_THAT(grown.err,
              ::testing::ContainsRegex("info changed since the checkpoint: train.steps 2 -> 4, the "
                                       "learning rate of step 3 0 -> 0.000[0-9]+\n"));

  const Outcome other =
      go_on({"train.steps=6", "train.schedule_steps=4", "train.lr=2e-3", "train.global_batch_size=8",
             "train.recompute=full", "optimizer.beta1=0.8", "device=reference"},
            2);
  ASSERT_TRUE(ended_with(other, 0));
  for (const char* change : {"train.steps 4 -> 6", "train.lr 1e-3 -> 2e-3", "train.global_batch_size 4 -> 8",
                             "train.recompute none -> full", "optimizer.beta1 0.9 -> 0.8",
                             "device host -> reference", "layout one rank -> dp_replicate=2"})
    EXPECT_THAT(other.err,
                ::testing::ContainsRegex(std::string("info changed since the checkpoint: .*") + change));

  EXPECT_THAT(go_on({"train.steps=6", "train.schedule_steps=4", "train.lr=2e-3", "train.global_batch_size=8",
                     "train.recompute=full", "optimizer.beta1=0.8", "device=reference"},
                    2)
                  .err,
              Not(HasSubstr("changed since")));
}

TEST_F(SameRun, OtherDataAtTheSamePathIsRefusedAndTheSameElsewhereByItsPath) {
  Batches(16, 16, 64).write(file("rows.safetensors"));
  Batches(16, 16, 64).write(file("copy.safetensors"));
  const std::string yaml =
      without_data() + "data: {source: safetensors, wrap: true, path: " + file("rows.safetensors") + "}\n";
  start(yaml);

  const std::string moved = "data.path=" + file("copy.safetensors");
  const Outcome elsewhere = go_on({moved});
  EXPECT_TRUE(ended_with(elsewhere, 3));
  EXPECT_THAT(elsewhere.last_line(),
              HasSubstr("data.path " + file("rows.safetensors") + " -> " + file("copy.safetensors")));
  EXPECT_THAT(elsewhere.last_line(), HasSubstr("its tokens are the same by their digest"));
  EXPECT_TRUE(ended_with(go_on({moved, "checkpoint.allow_changes=[data.path]", "train.steps=4"}), 0));

  Batches(16, 16, 63).write(file("copy.safetensors"));
  const Outcome other = go_on({moved, "checkpoint.allow_changes=[data.path]", "train.steps=6"});
  EXPECT_TRUE(ended_with(other, 3));
  EXPECT_THAT(other.last_line(), HasSubstr("was written by another run: data.digest xxh3:"));
}

TEST_F(SameRun, ACheckpointOfAnOlderVersionLoadsWithAWarning) {
  start();
  rewrite_manifest([](io::Manifest& manifest) {
    std::erase_if(manifest.values, [](const auto& value) { return value.first != "/state/next_sample"; });
    manifest.job = kMiniJob;  // without any default
    manifest.job.replace(manifest.job.find("steps: 6"), 8, "steps: 2");
  });

  const Outcome outcome = go_on({"train.steps=2"});

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("does not say which data it was trained on (it has no digest of it)"));
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 2 from "));
  EXPECT_THAT(outcome.err, HasSubstr("changed since the checkpoint: output (none) -> " + file("run") + "\n"))
      << "keys that it lacks count as their defaults";

  const Outcome changed = go_on({"model.rope_theta=10000"});
  EXPECT_TRUE(ended_with(changed, 3));
  EXPECT_THAT(changed.last_line(), HasSubstr("model.rope_theta 500000 -> 10000"));
}

TEST_F(SameRun, AJobThatCannotBeReadIsAWarning) {
  start();
  rewrite_manifest([](io::Manifest& manifest) { manifest.job = "seed: [1"; });
  const Outcome outcome = go_on({"train.steps=2"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("carries a job that this caravan cannot read (it is not compared with this one)"));
}

TEST_F(SameRun, WeightsToStartFromAreNotUsedByARunThatGoesOn) {
  start();
  const Outcome outcome = go_on({"checkpoint.initial_load=" + file("anything"), "train.steps=2"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("warning checkpoint.initial_load=" + file("anything") + " is not used"));
}

TEST_F(SameRun, TheResolvedJobStandsInTheRunAndIsTheSameRunAgain) {
  Batches(16, 16, 64).write(file("rows.safetensors"));
  spill(file("job.yaml"),
        without_data() + "data: {source: safetensors, wrap: true, path: rows.safetensors}\n");
  Command first{{"train", "job.yaml", "output=run", "checkpoint.keep_latest=5"}, 0, {}, 60};
  first.program = script(file("here.sh"), "cd " + folder_.path());
  ASSERT_TRUE(ended_with(run(first), 0));

  const Config resolved = Config::load(file("run/job.yaml"));
  EXPECT_EQ(resolved.at("output").text(), file("run"));
  EXPECT_EQ(resolved.at("data").at("path").text(), file("rows.safetensors"));
  EXPECT_EQ(resolved.at("model").at("plugin").text(), "llama4");
  EXPECT_EQ(resolved.at("model").at("rope_theta").as_int(), 500000);
  EXPECT_EQ(resolved.at("optimizer").at("name").text(), "adamw");
  EXPECT_EQ(resolved.at("optimizer").at("beta2").as_float(), 0.95);
  EXPECT_EQ(resolved.at("train").at("max_norm").as_int(), 1);
  EXPECT_EQ(caravan({"inspect", file("run"), "--job"}).out, slurp(file("run/job.yaml")));

  ASSERT_TRUE(ended_with(caravan({"train", file("run/job.yaml"), "output=" + file("again")}), 0));
  EXPECT_EQ(results_of(file("again")), results_of(file("run")));
  Config again = Config::load(file("again/job.yaml"));
  again.set("output", file("run"));
  EXPECT_EQ(again, resolved);

  const Outcome finished = caravan({"train", file("run/job.yaml")});
  ASSERT_TRUE(ended_with(finished, 0));
  EXPECT_THAT(finished.last_line(), HasSubstr("nothing to do: step 6 of 6 is done"));
  EXPECT_THAT(finished.err, Not(HasSubstr("changed since")));
}

TEST_F(SameRun, APresetIsFilledIn) {
  const Outcome outcome =
      caravan({"train",
               job("{model: {preset: debugmodel, dim: 64, heads: 4}, data: {source: synthetic, "
                   "vocab_size: 2048}, train: {steps: 1}, device: host}"),
               "--dry-run"});
  ASSERT_TRUE(ended_with(outcome, 0));
  const Config resolved = Config::parse(outcome.out.substr(0, outcome.out.find("\n# layout")));
  EXPECT_FALSE(resolved.at("model").has("preset"));
  EXPECT_EQ(resolved.at("model").at("dim").as_int(), 64);
  EXPECT_EQ(resolved.at("model").at("moe_step").as_int(), 2) << "the preset's";
  EXPECT_EQ(resolved.at("model").at("norm_eps").as_float(), 1e-5) << "the plugin's";
}

}  // namespace
}  // namespace caravan::test

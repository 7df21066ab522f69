#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "io/checkpoint/layout.hpp"
#include "io/hf/weight_source.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"
#include "tests/jobs/run_results.hpp"

// model.lora as users ask for it.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Overrides = std::vector<std::string>;

const std::string kLora =
    "model.lora={rank: 4, alpha: 8, parameters: ['*.attention.w?.weight', '*.experts.*', '*.feed_forward.*', "
    "'*.shared_experts.*']}";

std::vector<float> weights_of(const io::WeightSource& source, const std::string& name) {
  const Shape shape = source.shape(name);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  source.read(name, TensorView(values.data(), DType::f32, shape));
  return values;
}

/// W + s·B·A of the tensors of a run, read as they are stored.
std::vector<float> product_of(const io::WeightSource& run, const std::string& name, double scale) {
  const std::string stem = name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name;
  std::vector<float> w = weights_of(run, name);
  if (!run.has(stem + ".lora_a")) return w;
  const Shape shape = run.shape(name), narrow = run.shape(stem + ".lora_a");
  const std::vector<float> a = weights_of(run, stem + ".lora_a"), b = weights_of(run, stem + ".lora_b");
  const std::int64_t M = shape[shape.rank() - 1], N = shape[shape.rank() - 2], r = narrow[shape.rank() - 2];
  for (std::int64_t at = 0; at < shape.count(); ++at) {
    const std::int64_t e = at / (N * M), n = at / M % N, m = at % M;
    double sum = w[static_cast<std::size_t>(at)];
    for (std::int64_t k = 0; k < r; ++k)
      sum += scale * double{b[static_cast<std::size_t>((e * N + n) * r + k)]} *
             double{a[static_cast<std::size_t>((e * r + k) * M + m)]};
    w[static_cast<std::size_t>(at)] = static_cast<float>(sum);
  }
  return w;
}

class Lora : public JobTest {
 protected:
  Outcome steps(int count, const std::string& name, const Overrides& more, int ranks = 0) const {
    Overrides overrides{fmt::format("train.steps={}", count), "train.schedule_steps=100", "train.lr=1e-2"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return run(train(job(kMiniJob), name, ranks, overrides));
  }
  /// A base, and a run with adapters that starts from it.
  void adapt(const Overrides& more = {}) const {
    ASSERT_TRUE(ended_with(steps(2, "base", {}), 0));
    Overrides overrides{kLora, "checkpoint.initial_load=" + file("base")};
    overrides.insert(overrides.end(), more.begin(), more.end());
    const Outcome outcome = steps(4, "adapted", overrides);
    ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("those of model.lora start anew"));
  }
};

TEST_F(Lora, TheBaseStaysAndTheExportIsItPlusTheProduct) {
  adapt({"checkpoint.export={format: safetensors, dtype: fp32}"});
  const auto base = io::open_weight_source(file("base")), adapted = io::open_weight_source(file("adapted"));
  const auto merged =
      io::open_weight_source(file("adapted") + "/export/safetensors/" + io::step_folder(4) + ".safetensors");
  int moved = 0;
  for (const std::string& name : base->names()) {
    EXPECT_EQ(weights_of(*adapted, name), weights_of(*base, name)) << name;
    const std::vector<float> expected = product_of(*adapted, name, 2), ours = weights_of(*merged, name);
    ASSERT_EQ(ours.size(), expected.size());
    for (std::size_t at = 0; at < ours.size(); ++at) ASSERT_NEAR(ours[at], expected[at], 1e-6) << name;
    moved += ours != weights_of(*base, name);
  }
  EXPECT_EQ(moved, 2 * 4 + 3 + 6) << "attentions, feed-forward, experts and the shared one";
  for (const std::string& name : merged->names()) EXPECT_THAT(name, Not(HasSubstr("lora")));
}

TEST_F(Lora, EveryFormatIsMergedAndComputesAsTheRun) {
  adapt();
  Batches batches(2, 16, 64);
  io::SafetensorsWriter writer(file("in.safetensors"));
  writer.add("input_ids", TensorView(batches.tokens.data(), DType::i64, {batches.rows, batches.length}));
  writer.commit();
  for (const std::string format : {"hf", "meta", "hdf5"}) {
    const Outcome converted =
        caravan({"convert", file("adapted"), file(format), "--to", format, "--dtype", "fp32"});
    ASSERT_TRUE(ended_with(converted, 0)) << converted.err;
    EXPECT_THAT(converted.err, HasSubstr("adapters of rank 4 are merged into the weights"));
    const Outcome compared = caravan({"compare", file("adapted"), file(format), "--inputs",
                                      file("in.safetensors"), "--tolerance", "1e-5"});
    EXPECT_EQ(compared.code, 0) << format << compared.out << compared.err;
  }
  const Outcome other = caravan(
      {"compare", file("adapted"), file("base"), "--inputs", file("in.safetensors"), "--tolerance", "1e-4"});
  EXPECT_NE(other.code, 0) << "adapters count";
}

TEST_F(Lora, AnExportedCheckpointIsMergedToo) {
  ASSERT_TRUE(ended_with(steps(2, "run", {kLora, "checkpoint.export=fp32"}), 0));
  const auto merged = io::open_weight_source(file("run") + "/export/" + io::step_folder(2)),
             adapted = io::open_weight_source(file("run"));
  const std::string name = "layers.1.moe.experts.w2";
  for (const std::string& each : merged->names()) EXPECT_THAT(each, Not(HasSubstr("lora")));
  EXPECT_NE(weights_of(*merged, name), weights_of(*adapted, name));
  EXPECT_EQ(weights_of(*merged, name), product_of(*adapted, name, 2));
}

TEST_F(Lora, ADryRunSaysWhatIsTrainedAndGradientsFall) {
  const auto dry = [&](const Overrides& overrides) {
    Command command = train(job(kMiniJob), "dry", 0, overrides);
    command.arguments.emplace_back("--dry-run");
    return run(command);
  };
  const Outcome all = dry({}), lora = dry({kLora});
  ASSERT_TRUE(ended_with(all, 0));
  ASSERT_TRUE(ended_with(lora, 0)) << lora.err;
  EXPECT_THAT(lora.out, HasSubstr("with lora of rank 4, scale 2"));
  EXPECT_THAT(lora.out, HasSubstr("of adapters, which are trained"));
  EXPECT_LT(planned_bytes(lora.out, "gradients"), 0.5 * planned_bytes(all.out, "gradients"));
  EXPECT_LT(planned_bytes(lora.out, "optimizer"), 0.5 * planned_bytes(all.out, "optimizer"));
}

TEST_F(Lora, ADryRunSaysHowAdaptersStart) {
  const auto start = [&](const std::string& name, Overrides keys) {
    keys.push_back("train.steps=6");
    Command command = train(job(kMiniJob), name, 0, keys);
    command.arguments.emplace_back("--dry-run");
    const Outcome outcome = run(command);
    EXPECT_TRUE(ended_with(outcome, 0)) << outcome.err;
    return outcome.out.substr(outcome.out.find("# start"));
  };
  adapt();
  EXPECT_THAT(start("new", {kLora}),
              HasSubstr("drawn from the seed, which adapters of model.lora then adapt"));
  EXPECT_THAT(start("new", {kLora, "checkpoint.initial_load=" + file("base")}),
              HasSubstr(file("base") + "; it has no adapters, those of model.lora start anew"));
  const std::string going_on = start("new", {kLora, "checkpoint.initial_load=" + file("adapted")});
  EXPECT_THAT(going_on, HasSubstr("with the weights of " + file("adapted") + "\n"));
  EXPECT_THAT(start("adapted", {kLora, "train.schedule_steps=100", "train.lr=1e-2"}),
              HasSubstr("behind step 4 of its own"));
}

TEST_F(Lora, WhatIsAskedForInVainIsSaid) {
  const Overrides keys{
      "model.lora={rank: 33, parameters: ['*.attention.w?.weight']}",
      "optimizer.groups=[{parameters: '*.experts.*', lr_factor: 2}, {parameters: '*.lora_b', "
      "lr_factor: 2}]"};
  const Outcome outcome = steps(1, "run", keys);
  ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("warning model.lora.rank=33 is more than layers.0.attention.wq.weight can "
                        "have (it is 32 x 32)"));
  EXPECT_THAT(outcome.err,
              HasSubstr("warning optimizer.groups: all that *.experts.* fits is frozen by model.lora"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("all that *.lora_b fits")));
}

TEST_F(Lora, AResumedRunIsTheUndisturbedOne) {
  for (const int ranks : {0, 2}) {
    const std::string name = fmt::format("-{}", ranks);
    const Overrides keys = ranks == 2 ? Overrides{kLora, "parallel.data_shard=2"} : Overrides{kLora};
    ASSERT_TRUE(ended_with(steps(6, "whole" + name, keys, ranks), 0));
    ASSERT_TRUE(ended_with(steps(4, "cut" + name, keys, ranks), 0));
    const Outcome last = steps(6, "cut" + name, keys, ranks);
    ASSERT_TRUE(ended_with(last, 0));
    EXPECT_THAT(last.err, HasSubstr("resumed at step 4"));
    EXPECT_EQ(digests_of(file("cut" + name), 6), digests_of(file("whole" + name), 6));
  }
}

TEST_F(Lora, AStartFromAdaptersOfAnotherKindIsSaidOrRefused) {
  adapt();
  const auto start = [&](const std::string& name, const std::string& lora) {
    return steps(5, name, {"checkpoint.initial_load=" + file("adapted"), "model.lora=" + lora});
  };
  const std::string all =
      "parameters: ['*.attention.w?.weight', '*.experts.*', '*.feed_forward.*', '*.shared_experts.*']}";
  const Outcome same = start("same", "{rank: 4, alpha: 8, " + all);
  EXPECT_TRUE(ended_with(same, 0));
  EXPECT_THAT(same.err, Not(HasSubstr("its adapters count")));
  const Outcome louder = start("louder", "{rank: 4, alpha: 16, " + all);
  EXPECT_TRUE(ended_with(louder, 0));
  EXPECT_THAT(louder.err, HasSubstr("its adapters count 2 times, and those of model.lora 4 times"));
  EXPECT_THAT(louder.err, HasSubstr("alpha=8?"));
  EXPECT_THAT(start("narrower", "{rank: 2, alpha: 4, " + all).err, HasSubstr("wrong shape: "));
  EXPECT_THAT(start("fewer", "{rank: 4, alpha: 8, parameters: ['*.attention.w?.weight']}").err,
              HasSubstr("not in the model: "));
}

/// Of what a refusal proposes, each leads on.
TEST_F(Lora, OtherAdaptersAreRefusedWithTheWayToStartFromTheWeights) {
  ASSERT_TRUE(ended_with(steps(2, "base", {}), 0));
  ASSERT_TRUE(ended_with(steps(2, "adapted", {kLora}), 0));
  const auto way = [&](const std::string& run) { return "{run: " + file(run) + ", what: model}"; };
  const auto expect_refused = [&](const std::string& name, const Overrides& keys, const std::string& says) {
    const Outcome outcome = steps(4, name, keys);
    EXPECT_TRUE(ended_with(outcome, 3)) << outcome.err;
    EXPECT_THAT(outcome.last_line(), HasSubstr("model.lora"));
    EXPECT_THAT(outcome.last_line(), HasSubstr(says));
    EXPECT_THAT(outcome.last_line(), Not(HasSubstr("allow_changes")));
  };
  expect_refused("plain", {"checkpoint.from=" + file("adapted")}, "checkpoint.from.what=model, which takes");
  expect_refused("added", {kLora, "checkpoint.from=" + file("base")},
                 "checkpoint.from.what=model, which takes");
  expect_refused("adapted", {}, "another output with checkpoint.from=" + way("adapted"));
  EXPECT_TRUE(ended_with(steps(4, "plain", {"checkpoint.from=" + way("adapted")}), 0));
  EXPECT_TRUE(ended_with(steps(4, "added", {kLora, "checkpoint.from=" + way("base")}), 0));
}

TEST_F(Lora, WhatCannotBeAdaptedIsRefusedByName) {
  const auto expect_refused = [&](const std::string& lora, const std::string& message) {
    const Outcome outcome = steps(2, "refused", {"model.lora=" + lora});
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  expect_refused("{rank: 4, parameters: ['*']}", "fits tok_embeddings.weight (only the matrices");
  expect_refused("{rank: 4, parameters: ['*.router.*']}", "router.gate.weight (only the matrices");
  expect_refused("{rank: 4, parameters: [layers.9.*]}", "'layers.9.*' fits no parameter");
  expect_refused("{rank: 4, parameters: ['*.attention.wq']}",
                 "fits no parameter (near are layers.0.attention.wq.weight, layers.1.attention.wq.weight)");
  expect_refused("{rank: 4, parameters: ['*.atention.wq.weight']}",
                 "near are layers.0.attention.wq.weight, ");
  const Outcome unsaved = steps(2, "refused", {kLora, "checkpoint.enabled=false", "checkpoint.export=fp32"});
  EXPECT_THAT(unsaved.err, HasSubstr("checkpoint.export with model.lora and checkpoint.enabled=false"));
  expect_refused("{rank: 4, parameters: []}", "lora.parameters is empty");
  expect_refused("{rank: 0, parameters: ['*.attention.w?.weight']}", "rank");
  expect_refused("{parameters: ['*.attention.w?.weight']}", "rank");
}

}  // namespace
}  // namespace caravan::test

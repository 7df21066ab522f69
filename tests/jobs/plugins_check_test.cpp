#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// caravan plugins check: what is sound passes, and each mistake is named.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PluginsCheck : public JobTest {
 protected:
  Outcome check(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"plugins", "check"});
    return run({arguments, 0, {{"CARAVAN_PLUGIN_PATH", CARAVAN_FLAWED_PLUGINS}}, 300});
  }
};

TEST_F(PluginsCheck, WhatCaravanBringsIsSound) {
  const std::vector<std::vector<std::string>> all{
      {"layer/feed_forward", "hidden=24"},
      {"layer/gelu_feed_forward", "hidden=24"},
      {"layer/attention", "heads=4", "kv_heads=2", "head_dim=8"},
      {"layer/moe", "experts=4", "hidden=24"},
      {"layer/moe", "experts=4", "hidden=24", "top_k=1", "normalise=true"},
      {"layer/moe", "experts=8", "hidden=16", "top_k=2", "score=softmax_selected", "normalise=true",
       "noisy=true"},
      {"layer/feed_forward", "hidden=24", "dropout=0.3"},
      {"data/synthetic", "vocab_size=64"},
      {"optimizer/adamw"},
      {"optimizer/adam"},
      {"optimizer/sgd"},
      {"optimizer/lion"},
      {"optimizer/muon"},
      {"metrics/jsonl"},
      {"metrics/tensorboard"},
      {"metrics/csv"},
      {"schedule/1f1b"},
      {"schedule/interleaved_zero_bubble"},
      {"schedule/zbv"},
      {"schedule/dualpipev"},
  };
  for (const auto& arguments : all) {
    const Outcome outcome = check(arguments);
    EXPECT_TRUE(ended_with(outcome, 0)) << arguments[0] << "\n" << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(" claims hold\n"));
  }
}

TEST_F(PluginsCheck, OfLongSequencesFewSamplesAreRead) {
  const Outcome outcome = check({"data/synthetic", "vocab_size=64", "sequence_length=1000000"});
  EXPECT_TRUE(ended_with(outcome, 0)) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("4 samples of 1000000 tokens are read again and again, in place of 24"));
}

TEST_F(PluginsCheck, ComponentsOfTheTestWithoutAFlawAreSound) {
  for (const char* component : {"layer/flawed", "data/flawed", "metrics/flawed", "optimizer/flawed"})
    EXPECT_TRUE(ended_with(check({component, "flaw=none"}), 0)) << component;
}

TEST_F(PluginsCheck, ALayerMayRefuseBf16) {
  const Outcome refuses = check({"layer/flawed", "flaw=f32"});
  EXPECT_TRUE(ended_with(refuses, 0)) << refuses.out << refuses.err;
  EXPECT_THAT(refuses.out, HasSubstr("-      bf16 is f32, rounded: not tried (it refuses bf16: "));
  EXPECT_THAT(refuses.out, HasSubstr("flawed computes in f32 alone"));
  const Outcome left_out = check({"layer/flawed", "--precision", "fp32"});
  EXPECT_TRUE(ended_with(left_out, 0)) << left_out.err;
  EXPECT_THAT(left_out.out, HasSubstr("-      bf16 is f32, rounded: not tried (--precision fp32)"));
}

TEST_F(PluginsCheck, ADryRunThatALayerEndsSaysWhy) {
  Command command =
      train(job(kMiniJob), "dry", 0, {"model.moe_step=2", "model.dense={layer: flawed, flaw: paper}"});
  command.arguments.emplace_back("--dry-run");
  command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FLAWED_PLUGINS;
  const Outcome outcome = run(command);
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err,
              HasSubstr("caravan: ended by SIGSEGV while\n  the dry run's walk through the layers"));
  EXPECT_THAT(outcome.err, HasSubstr("caravan plugins check layer/NAME"));
}

TEST_F(PluginsCheck, EachMistakeIsNamed) {
  struct Case {
    const char *component, *flaw, *says;
  };
  constexpr Case kCases[] = {
      {"layer/flawed", "input", "WRONG  gradient of tok_embeddings.weight is the slope of the loss: it says"},
      {"layer/flawed", "weight",
       "WRONG  gradient of layers.0.flawed.weight is the slope of the loss: it says"},
      {"layer/flawed", "replaces",
       "WRONG  W adds to the gradient of layers.0.flawed.weight: two micro-batches are not"},
      {"layer/flawed", "life", "micro-batches in flight as one by one: what is kept lives long enough: "},
      {"layer/flawed", "repeats", "a repeated forward as the first: the gradient of "},
      {"data/flawed", "rank", "WRONG  the same samples on rank 1 of 4: sample 0 is another"},
      {"data/flawed", "order", "WRONG  the same sample twice: sample 0 is another"},
      {"data/flawed", "range", "WRONG  tokens are ids of the vocabulary: not all are in [0, 40)"},
      {"data/flawed", "digest", "WRONG  the digest is the data's alone: another seed"},
      {"layer/flawed", "paper",
       "WRONG  a dry run, on a device that computes nothing: it ends with Segmentation fault"},
      {"metrics/flawed", "nothing", "WRONG  records reach the run's folder: nothing was written to it"},
      {"metrics/flawed", "twice",
       "WRONG  a step that is done again stands there once: step 40 is there 2 times, step 1 1 times"},
      {"metrics/flawed", "late", "WRONG  records of any numbers, keys that come later"},
      {"metrics/flawed", "cuts", "WRONG  what earlier starts wrote of earlier steps stays: "},
      {"metrics/flawed", "resumes", "WRONG  the next start goes on, with another instance: "},
      {"optimizer/flawed", "state", "WRONG  all state is in the slots, as after a restart: "},
      {"optimizer/flawed", "place",
       "WRONG  flat pieces are updated as the whole matrix, as shards are (2 pieces): "},
      {"optimizer/flawed", "failed", "WRONG  a failed step changes nothing: "},
  };
  for (const Case& bad : kCases) {
    const Outcome outcome = check({bad.component, std::string("flaw=") + bad.flaw});
    EXPECT_TRUE(ended_with(outcome, 1)) << bad.component << " " << bad.flaw;
    EXPECT_THAT(outcome.out, HasSubstr(bad.says)) << bad.component << " " << bad.flaw;
  }
}

TEST_F(PluginsCheck, ASchedulesNonsenseIsNamed) {
  const Outcome outcome = run({{"plugins", "check", "schedule/nonsense", "what=negative"},
                               0,
                               {{"CARAVAN_PLUGIN_PATH", CARAVAN_FAILING_PLUGINS}},
                               60});
  EXPECT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.out, HasSubstr("WRONG  2 ranks, 2 micro-batches, 1 stages a rank: a training step"));
}

TEST_F(PluginsCheck, WrongUse) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"attention"}, "'attention' names no component"},
      {{"layer/atention"}, "Did you mean 'attention'?"},
      {{"layer/feed_forward"}, "hidden"},
      {{"layer/feed_forward", "hiden=3", "hidden=3"}, "Did you mean 'hidden'?"},
      {{"model/llama4"},
       "no check for the kind 'model' (what it promises shows in use alone). Use `caravan plugins"},
      {{"device/host"}, "no check for the kind 'device'"},
      {{"layr/moe"}, "Did you mean 'layer'?"},
      {{"layer/moe", "--device", "host"}, "--device with layer/moe (it is for dispatchers"},
      {{"layer/moe", "--precision", "bf16"}, "--precision bf16 with layer/moe (dispatchers take"},
      {{"data/synthetic", "--precision", "fp32"}, "--precision fp32 with data/synthetic"},
  };
  for (const auto& [arguments, says] : cases) {
    const Outcome outcome = check(arguments);
    EXPECT_TRUE(ended_with(outcome, 2)) << arguments[0];
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.out, Not(HasSubstr("WRONG")));
  }
}

}  // namespace
}  // namespace caravan::test

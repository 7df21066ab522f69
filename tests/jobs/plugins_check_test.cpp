#include <gmock/gmock.h>

#include <csignal>

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
      {"layer/flawed", "paper",
       "WRONG  a dry run walks through it: caravan: ended by SIGSEGV while forward of segment 'flawed' of "
       "layers.0, a layer/flawed: a dry run walks through it, where tensors have no memory"},
      {"data/flawed", "rank", "WRONG  the same samples on rank 1 of 4: sample 0 is another"},
      {"data/flawed", "order", "WRONG  the same sample twice: sample 0 is another"},
      {"data/flawed", "range", "WRONG  tokens are ids of the vocabulary: not all are in [0, 40)"},
      {"data/flawed", "digest", "WRONG  the digest is the data's alone: another seed"},
      {"metrics/flawed", "late", "WRONG  records of any numbers, keys that come later"},
      {"metrics/flawed", "cuts", "WRONG  what earlier starts wrote of earlier steps stays: "},
      {"metrics/flawed", "resumes", "WRONG  the next start goes on, with another instance: "},
      {"metrics/flawed", "nothing", "WRONG  records are in the run's folder: no byte was written there"},
      {"metrics/flawed", "twice",
       "WRONG  a file holds steps that are done again once: bytes has grown by 20 bytes (the same steps took "
       "20"},
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

/// It dies of its signal, and says whose code it was.
TEST_F(PluginsCheck, ALayerThatEndsADryRunIsNamed) {
  Command command =
      train(job(kMiniJob), "dry", 0,
            {"model.moe_step=2", "model.dense={layer: flawed, flaw: paper}", "device=reference"});
  command.arguments.emplace_back("--dry-run");
  command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FLAWED_PLUGINS;
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.signal, SIGSEGV) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("caravan: ended by SIGSEGV while\n"
                                     "  forward of segment 'flawed' of layers.0, a layer/flawed:\n"
                                     "  a dry run walks through it, where tensors have no memory"));
}

/// By the key that asks for it, and with what the author of the layer does.
TEST_F(PluginsCheck, ALayerThatOffersNoFreezingIsRefusedByName) {
  const auto refused = [&](const std::string& key) {
    Command command = train(job(kMiniJob), "run", 0, {"model.moe_step=2", "model.dense=flawed", key});
    command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FLAWED_PLUGINS;
    const Outcome outcome = run(command);
    EXPECT_TRUE(ended_with(outcome, 2)) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("'layers.0.flawed.weight' cannot be frozen"));
    EXPECT_THAT(outcome.err, HasSubstr("offers_freezing()"));
    return outcome.err;
  };
  EXPECT_THAT(refused("model.lora={rank: 2, parameters: ['*.attention.w?.weight']}"),
              HasSubstr("as model.lora asks"));
  EXPECT_THAT(refused("optimizer.groups=[{parameters: '*.flawed.*', frozen: true}]"),
              HasSubstr("as optimizer.groups asks"));
}

/// What a layer does not support is said, and is wrong only where it was asked for.
TEST_F(PluginsCheck, ALayerOfFp32AloneIsSound) {
  const std::string says = "bf16 is f32, rounded: ";
  const Outcome any = check({"layer/flawed", "flaw=fp32"});
  EXPECT_TRUE(ended_with(any, 0)) << any.out << any.err;
  EXPECT_THAT(any.out, HasSubstr("-      " + says +
                                 "not tried (the layer does not support it: layer flawed computes"));
  const Outcome fp32 = check({"layer/flawed", "flaw=none", "--precision", "fp32"});
  EXPECT_TRUE(ended_with(fp32, 0)) << fp32.out << fp32.err;
  EXPECT_THAT(fp32.out, HasSubstr("-      " + says + "not tried (--precision fp32)"));
  const Outcome bf16 = check({"layer/flawed", "flaw=fp32", "--precision", "bf16"});
  EXPECT_TRUE(ended_with(bf16, 1));
  EXPECT_THAT(bf16.out, HasSubstr("WRONG  " + says + "the layer does not support it"));
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
      {{"data/synthetic", "vocab_size=9", "--precision", "fp32"}, "--precision with data/synthetic"},
      {{"layer/moe", "--precision", "fp16"}, "fp16"},
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

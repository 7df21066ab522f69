#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/safetensors/writer.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"

// What one layout saves every other goes on from: replicas, shards, both, pipelines, and pipelines of shards.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Overrides = std::vector<std::string>;

constexpr double kTolerance = 1e-5;

struct Layout {
  std::string name;
  int ranks;
  Overrides overrides;
};

const Layout kOne{"one", 1, {}};
const Layout kReplicas{"replicas", 2, {}};
const Layout kReplicasOfWholes{"wholes", 2, {"parallel.divide_optimizer=false"}};
const Layout kHybridThatDivides{"hybrid-divides",
                                4,
                                {"parallel.data_replicate=2", "parallel.data_shard=2",
                                 "parallel.reshard=never", "parallel.divide_optimizer=true"}};
const Layout kShards{"shards", 2, {"parallel.data_shard=2"}};
const Layout kShardsInOneFile{"shards-one", 3, {"parallel.data_shard=3", "checkpoint.files=one"}};
const Layout kHybrid{
    "hybrid", 4, {"parallel.data_replicate=2", "parallel.data_shard=2", "checkpoint.async=false"}};
const Layout kPipeline{"1f1b", 2, {"parallel.pipeline=2"}};
const Layout kPipelineInOneFile{
    "zbv", 2, {"parallel.pipeline=2", "parallel.schedule=zbv", "checkpoint.files=one"}};
const Layout kPipelineOfShards{
    "pipeline-shards", 4, {"parallel.pipeline=2", "parallel.data_shard=2", "checkpoint.async=true"}};
const Layout kExperts{"experts", 2, {"parallel.data_shard=2", "parallel.expert=2"}};
const Layout kShardedExperts{
    "sharded-experts", 4, {"parallel.data_shard=4", "parallel.expert=2", "checkpoint.files=one"}};
const Layout kPipelineOfExperts{
    "pipeline-experts", 4, {"parallel.pipeline=2", "parallel.data_shard=2", "parallel.expert=2"}};

const Layout kTensor{"tensor", 2, {"parallel.tensor=2"}};
const Layout kTensorOfShards{
    "tensor-shards",
    4,
    {"parallel.tensor=2", "parallel.data_shard=2", "parallel.expert=2", "checkpoint.files=one"}};
const Layout kWideTensor{"tensor4", 4, {"parallel.tensor=4", "parallel.expert=4"}};

const Layout kContext{"context", 2, {"parallel.context=2", "parallel.expert=2"}};
const Layout kContextInRing{
    "ring", 3, {"parallel.context=3", "parallel.rotate=ring", "checkpoint.files=one"}};
const Layout kContextOfTensor{"context-tensor", 4, {"parallel.context=2", "parallel.tensor=2"}};

class LayoutChange : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  /// Twelve micro-batches of one sequence a step; a table that the first and the last layer share.
  Command steps(const std::string& name, const Layout& layout, int count, const Overrides& more = {}) const {
    Overrides all{"train.steps=" + std::to_string(count),
                  "train.global_batch_size=12",
                  "checkpoint.every=2",
                  "model.tied_head=true",
                  "model.layers=5",
                  "validation.batches=5"};
    all.insert(all.end(), layout.overrides.begin(), layout.overrides.end());
    all.insert(all.end(), more.begin(), more.end());
    return train(job_, name, layout.ranks, all);
  }
  void succeed(const Command& command) const { ASSERT_TRUE(ended_with(run(command), 0)); }
  std::string checkpoint(const std::string& name, std::int64_t step) const {
    return file(name) + "/checkpoints/" + io::step_folder(step);
  }
  /// A seed of this layout.
  std::string seed(const Layout& layout, const Overrides& more = {}) const {
    Overrides all = more;
    all.emplace_back("checkpoint.create_seed=true");
    succeed(steps("seed-" + layout.name, layout, 2, all));
    return checkpoint("seed-" + layout.name, 0);
  }
  /// Goes on as `to` from what `from` left after two steps.
  void expect_to_go_on(const Layout& from, const Layout& to, const std::vector<nlohmann::json>& undisturbed,
                       const Overrides& more = {}) const {
    SCOPED_TRACE(from.name + " to " + to.name);
    const std::string name = from.name + "-to-" + to.name;
    fs::copy(file(from.name), file(name), fs::copy_options::recursive);
    const Outcome outcome = run(steps(name, to, 4, more));
    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, HasSubstr("resumed at step 2 from "));
    const auto resumed = read_metrics(file(name));
    EXPECT_EQ(series(resumed, "step"), (std::vector<double>{1, 2, 3, 4}));
    for (const char* key : {"loss", "grad_norm", "balance_loss", "valid_tokens", "tokens_seen"})
      EXPECT_LE(largest_relative_difference(series(resumed, key), series(undisturbed, key)), kTolerance)
          << key;
    const double validation = undisturbed.back().at("validation_loss");
    EXPECT_NEAR(resumed.back().at("validation_loss"), validation, kTolerance * validation);
    fs::remove_all(file(name));
  }
  std::string job_;
};

TEST_F(LayoutChange, EveryLayoutGoesOnFromEveryOther) {
  succeed(steps("undisturbed", kOne, 4));
  const auto undisturbed = read_metrics(file("undisturbed"));
  const std::vector<Layout> layouts{kReplicas, kShardsInOneFile, kHybrid, kPipelineInOneFile,
                                    kPipelineOfShards};
  for (const Layout& layout : layouts) succeed(steps(layout.name, layout, 2));
  for (const Layout& from : layouts) {
    for (const Layout& to : layouts)
      if (&from != &to) expect_to_go_on(from, to, undisturbed);
  }
}

TEST_F(LayoutChange, TensorRanksGoOnFromEveryLayoutAndItFromThem) {
  succeed(steps("undisturbed", kOne, 4));
  const auto undisturbed = read_metrics(file("undisturbed"));
  for (const Layout& layout : {kOne, kTensor, kTensorOfShards, kWideTensor, kPipelineOfExperts})
    succeed(steps(layout.name, layout, 2));
  expect_to_go_on(kTensor, kOne, undisturbed);
  expect_to_go_on(kOne, kTensor, undisturbed);
  expect_to_go_on(kTensor, kWideTensor, undisturbed);
  expect_to_go_on(kWideTensor, kTensorOfShards, undisturbed);
  expect_to_go_on(kTensorOfShards, kPipelineOfExperts, undisturbed);
  expect_to_go_on(kPipelineOfExperts, kTensorOfShards, undisturbed);
}

TEST_F(LayoutChange, ContextRanksGoOnFromEveryLayoutAndItFromThem) {
  succeed(steps("undisturbed", kOne, 4));
  const auto undisturbed = read_metrics(file("undisturbed"));
  for (const Layout& layout : {kOne, kContext, kContextInRing, kContextOfTensor, kHybrid})
    succeed(steps(layout.name, layout, 2));
  expect_to_go_on(kOne, kContext, undisturbed);
  expect_to_go_on(kContext, kOne, undisturbed);
  expect_to_go_on(kContext, kContextInRing, undisturbed);
  expect_to_go_on(kContextInRing, kContextOfTensor, undisturbed);
  expect_to_go_on(kContextOfTensor, kHybrid, undisturbed);
  expect_to_go_on(kHybrid, kContextInRing, undisturbed);
}

TEST_F(LayoutChange, ReplicasGoOnFromEachOtherWhetherTheyDivideTheOptimizerOrNot) {
  succeed(steps("undisturbed", kOne, 4));
  const auto undisturbed = read_metrics(file("undisturbed"));
  const std::vector<Layout> layouts{kReplicas, kReplicasOfWholes, kHybridThatDivides};
  for (const Layout& layout : layouts) succeed(steps(layout.name, layout, 2));
  for (const Layout& from : layouts) {
    for (const Layout& to : layouts)
      if (&from != &to) expect_to_go_on(from, to, undisturbed);
  }
  expect_to_go_on(kReplicas, kOne, undisturbed);
  const Outcome changed = run(steps(kReplicas.name, kReplicasOfWholes, 4));
  EXPECT_TRUE(ended_with(changed, 0));
  EXPECT_THAT(changed.err, HasSubstr("parallel.divide_optimizer auto -> false"));
}

/// A table that is summed by rows is cut between rows, and in no other layout.
TEST_F(LayoutChange, TablesThatAreCutBetweenRowsGoOnFromOthersAndTheyFromThem) {
  const Overrides rows{"model.tied_head=false", "model.vocab_size=1601"};
  succeed(steps("undisturbed", kOne, 4, rows));
  const auto undisturbed = read_metrics(file("undisturbed"));
  const std::vector<Layout> layouts{kOne, kShardsInOneFile, kTensorOfShards};
  for (const Layout& layout : layouts) succeed(steps(layout.name, layout, 2, rows));
  for (const Layout& from : layouts) {
    for (const Layout& to : layouts)
      if (&from != &to) expect_to_go_on(from, to, undisturbed, rows);
  }
}

/// Biases are trained, so that a summand too many shows.
TEST_F(LayoutChange, TensorRanksContinueATextAsOneRankDoes) {
  succeed(steps("gelu", kOne, 2, {"model.dense=gelu", "model.moe_step=2", "train.lr=0.05"}));
  std::vector<std::string> texts;
  for (const int ranks : {1, 2, 4}) {
    const Outcome text =
        run({{"generate", "--model", file("gelu"), "--prompt-ids", "1 2 3 4 5", "--max-new-tokens", "9",
              "--greedy", "--json", "--device", "reference", "--tensor", std::to_string(ranks)},
             ranks,
             {},
             60});
    ASSERT_TRUE(ended_with(text, 0));
    texts.push_back(nlohmann::json::parse(text.out)["ids"].dump());
  }
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(texts[2], texts[0]);
}

TEST_F(LayoutChange, ShardsAndAPipelineOfWholeParametersGoOnFromEachOther) {
  succeed(steps("undisturbed", kOne, 4));
  for (const Layout& layout : {kShards, kPipeline}) succeed(steps(layout.name, layout, 2));
  expect_to_go_on(kShards, kPipeline, read_metrics(file("undisturbed")));
  expect_to_go_on(kPipeline, kShards, read_metrics(file("undisturbed")));
}

TEST_F(LayoutChange, ExpertsOverRanksGoOnFromEveryLayoutAndItFromThem) {
  succeed(steps("undisturbed", kOne, 4));
  const auto undisturbed = read_metrics(file("undisturbed"));
  const std::vector<Layout> experts{kExperts, kShardedExperts, kPipelineOfExperts}, others{kOne, kHybrid};
  for (const std::vector<Layout>* layouts : {&experts, &others})
    for (const Layout& layout : *layouts) succeed(steps(layout.name, layout, 2));
  for (const Layout& layout : experts) {
    for (const Layout& other : others) {
      expect_to_go_on(layout, other, undisturbed);
      expect_to_go_on(other, layout, undisturbed);
    }
  }
  expect_to_go_on(kExperts, kShardedExperts, undisturbed);
  expect_to_go_on(kPipelineOfExperts, kExperts, undisturbed);
}

TEST_F(LayoutChange, TheSeedOfEveryLayoutIsTheSame) {
  const std::string alone = seed(kOne);
  for (const Layout& layout :
       {kShards, kShardsInOneFile, kReplicas, kReplicasOfWholes, kHybrid, kHybridThatDivides,
        kPipelineInOneFile, kPipelineOfShards, kExperts, kShardedExperts, kPipelineOfExperts}) {
    SCOPED_TRACE(layout.name);
    const std::string path = seed(layout);
    EXPECT_TRUE(ended_with(caravan({"inspect", "--verify", path}), 0));
    const Outcome difference = caravan({"inspect", "--diff", path, alone});
    EXPECT_TRUE(ended_with(difference, 0));
    EXPECT_THAT(difference.out, HasSubstr("the same: "));
  }
}

/// Bytes of all pieces in each file.
std::vector<double> bytes_of_files(const std::string& checkpoint) {
  std::vector<double> bytes;
  for (const io::FileRecord& each : io::read_manifest(checkpoint).files) {
    std::uint64_t sum = 0;
    for (const io::PieceRecord& piece : each.pieces) sum += piece.piece.bytes();
    if (sum > 0) bytes.push_back(static_cast<double>(sum));
  }
  return bytes;
}

TEST_F(LayoutChange, EveryRankWritesItsEqualShareOfTheBytes) {
  const Overrides large{"model.dim=128", "model.width_multiple_of=128"};
  const Layout shards{"shards", 4, {"parallel.data_shard=4"}};
  const Layout replicas{"four-replicas", 4, {}};
  for (const Layout& layout : {shards, kHybrid, replicas}) {
    const std::string path = seed(layout, large);
    const auto bytes = bytes_of_files(path);
    ASSERT_EQ(bytes.size(), 4u) << layout.name;
    const double all = std::accumulate(bytes.begin(), bytes.end(), 0.0);
    for (std::size_t rank = 0; rank < 4; ++rank) {
      EXPECT_NEAR(bytes[rank] / all, 0.25, 0.02) << layout.name << ", rank " << rank;
      const auto size = fs::file_size(fmt::format("{}/shard-{:05}.h5", path, rank));
      EXPECT_NEAR(static_cast<double>(size) / bytes[rank], 1, 0.05) << "structure";
    }
  }
}

TEST_F(LayoutChange, WhatShardsSaveIsUsedLikeWhatOneRankSaves) {
  std::vector<std::int64_t> ids(16);
  for (std::size_t at = 0; at < ids.size(); ++at) ids[at] = static_cast<std::int64_t>(at * 7 % 64);
  io::SafetensorsWriter inputs(file("inputs.safetensors"));
  inputs.add("input_ids", TensorView(ids.data(), DType::i64, {2, 8}));
  inputs.commit();
  std::vector<std::string> answers;
  for (const Layout& layout : {kOne, kShards, kPipelineOfShards}) {
    const std::string path = seed(layout), outputs = file(layout.name + ".safetensors");
    ASSERT_TRUE(
        ended_with(caravan({"forward", "--model", path, "--inputs", file("inputs.safetensors"), "--outputs",
                            outputs, "--gradients", file("gradients"), "--device", "host"}),
                   0));
    const Outcome text = caravan({"generate", "--model", path, "--prompt-ids", "1 2 3", "--max-new-tokens",
                                  "8", "--greedy", "--json", "--device", "host"});
    ASSERT_TRUE(ended_with(text, 0));
    answers.push_back(slurp(outputs) + slurp(file("gradients")) +
                      nlohmann::json::parse(text.out).at("ids").dump());
  }
  EXPECT_EQ(answers[1], answers[0]);
  EXPECT_EQ(answers[2], answers[0]);
}

TEST_F(LayoutChange, TheExportOfShardsHoldsTheirWeights) {
  for (const Layout& layout : {kShards, kShardsInOneFile, kPipelineOfShards}) {
    succeed(steps(layout.name, layout, 2, {"checkpoint.export=fp32"}));
    const std::string path = file(layout.name) + "/export/" + io::step_folder(2);
    EXPECT_EQ(values_of(path, "/model/"), values_of(checkpoint(layout.name, 2), "/model/")) << layout.name;
    EXPECT_TRUE(values_of(path, "/optimizer/").empty());
    EXPECT_TRUE(ended_with(caravan({"inspect", "--verify", path}), 0));
  }
}

TEST_F(LayoutChange, WhatIsExcludedStartsAnewOnShardsToo) {
  succeed(steps("saved", kShards, 2));
  for (const Layout& layout : {kOne, kShards, kHybrid}) {
    fs::copy(file("saved"), file(layout.name), fs::copy_options::recursive);
    succeed(steps(layout.name, layout, 4,
                  {"checkpoint.exclude_from_loading=[/optimizer/*, /model/layers.1.attention.w*]"}));
  }
  succeed(steps("saved", kShards, 4));
  const auto alone = read_metrics(file("one"));
  for (const char* key : {"loss", "grad_norm"}) {
    for (const Layout& layout : {kShards, kHybrid})
      EXPECT_LE(largest_relative_difference(series(read_metrics(file(layout.name)), key), series(alone, key)),
                kTolerance)
          << key << " of " << layout.name;
    EXPECT_GT(largest_relative_difference(series(read_metrics(file("saved")), key), series(alone, key)), 1e-4)
        << key << ": nothing was excluded";
  }
}

TEST_F(LayoutChange, SomePartsOfAParameterAreRefusedByAllRanksAlike) {
  succeed(steps("run", kShards, 2));
  const std::string parts = "checkpoint.exclude_from_loading=[/model/layers.4.attention.wq*]";
  for (const Layout& layout : {kOne, kShards, kHybrid, kPipeline, kPipelineOfShards}) {
    for (const char* how : {"--dry-run", "train.log_every=1"}) {
      const Outcome outcome = run(steps("run", layout, 4, {parts, how}));
      EXPECT_TRUE(ended_with(outcome, 2)) << layout.name << " " << how;
      EXPECT_THAT(outcome.last_line(), HasSubstr("names 1 of the 3 parts of /model/layers.4.attention.wqkv"));
      EXPECT_EQ(outcome.errors(), 1) << outcome.err;
    }
  }
}

}  // namespace
}  // namespace caravan::test

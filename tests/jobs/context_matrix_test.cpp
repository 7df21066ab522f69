#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "jobs/plan/row_exchanges.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Sequences over ranks take the steps of one rank: every layout with lengths, masks, models and
// recomputations in turn, or with CARAVAN_CONTEXT_CASES=N with N of them. Runs on 2, 3, 4 and 8 ranks.
namespace caravan::jobs {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSteps = 10;
constexpr std::int64_t kSequences = 16;  ///< of a step: four micro-batches of two on each of two data ranks

struct Layout {
  int context = 2, tensor = 1, shards = 1, pipeline = 1, expert = 1;
  std::string schedule = "1f1b";
  Keys keys{};

  int ranks() const { return context * tensor * shards * pipeline; }
};

/// A choice of one value of every factor. Recomputation changes no result.
struct Model {
  Keys keys;
  std::string recompute = "none";
};

/// Chunks of 8 are whole in the blocks of 64 tokens on 2 and 4 ranks, and in no other. The gradient of the
/// larger table is summed by rows, where it is not tied.
const std::vector<std::vector<Keys>>& factors() {
  static const std::vector<std::vector<Keys>> kAll{
      {{"train.sequence_length=37"}, {"train.sequence_length=40"}, {"train.sequence_length=64"}},
      {{}, {"model.chunk_size=8"}, {"model.chunk_size=11"}},
      {{}, {"data.document_length=13"}},
      {{"model.nope_interval=0"},
       {"model.nope_interval=2", "model.temperature={scale: 0.3, floor: 8}", "model.qk_norm=true"}},
      {{}, {"model.dropout=0.1", "model.attention_dropout=0.2"}},
      {{"model.tied_head=false"}, {"model.tied_head=true"}},
      {{"model.vocab_size=61"}, {"model.vocab_size=1543"}}};
  return kAll;
}

std::vector<Model> all_models() {
  std::vector<Model> with_recompute;
  for (const ModelCase& model : jobs::all_models(factors()))
    for (const char* recompute : {"none", "full", "selective", "stage"})
      with_recompute.push_back({model.keys, recompute});
  return with_recompute;
}

const Keys kRing{"parallel.rotate=ring"};
/// With the usual eps of 1e-8 an element whose gradient is rounding alone takes steps of full size, in a
/// direction that any order of sums decides: one rank of `host` and one of `reference` then part by 3.5e-5 in
/// the norm of some of these models.
const Keys kDense{"model.experts=0", "optimizer.eps=1e-5"};
const Keys kExperts{"model.experts=8", "model.top_k=2", "model.noisy=true", "model.load_balance_rate=0.01"};

Job job_of(const Layout& layout, const Keys& kind, const Model& model) {
  Config tree = Config::parse(R"(
seed: 5
model: {plugin: llama4, vocab_size: 61, dim: 28, layers: 4, heads: 2, kv_heads: 1, width_multiple_of: 12, init_std: 0.3}
data: {source: synthetic, vocab_size: 61}
train: {steps: 100, lr: 3e-3, warmup_steps: 3, local_batch_size: 2}
checkpoint: {enabled: false}
)");
  Keys keys{fmt::format("train.global_batch_size={}", kSequences),
            "train.recompute=" + model.recompute,
            fmt::format("parallel.context={}", layout.context),
            fmt::format("parallel.tensor={}", layout.tensor),
            fmt::format("parallel.data_shard={}", layout.shards),
            fmt::format("parallel.pipeline={}", layout.pipeline),
            fmt::format("parallel.expert={}", layout.expert),
            "parallel.schedule=" + layout.schedule};
  for (const Keys& more : {kind, layout.keys, model.keys}) keys.insert(keys.end(), more.begin(), more.end());
  for (const std::string& key : test::keys_of_test_device()) tree.override_with(key);
  for (const std::string& key : keys) tree.override_with(key);
  return resolve_job(std::move(tree));
}

Layout alone() {
  return {.context = 1};
}

class Contexts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }

  int ranks() const { return world_->size(); }

  /// Of one rank, computed once for each model.
  static const StepsTaken& expected_of(const Keys& kind, Model model) {
    static std::map<std::string, StepsTaken> known;
    model.recompute = "none";
    StepsTaken& steps = known[fmt::format("{} {}", fmt::join(kind, " "), fmt::join(model.keys, " "))];
    if (steps.results.empty()) {
      const auto self = make_single_communicator();
      steps = take_steps(job_of(alone(), kind, model), *self, kSteps);
    }
    return steps;
  }

  void expect_equal(const Layout& layout, const Keys& kind, const Model& model) {
    SCOPED_TRACE(fmt::format("context {} x tensor {} x shards {}, {} stages, expert {}, {} {}; {} {}; {}",
                             layout.context, layout.tensor, layout.shards, layout.pipeline, layout.expert,
                             layout.schedule, fmt::join(layout.keys, " "), fmt::join(kind, " "),
                             fmt::join(model.keys, " "), model.recompute));
    const StepsTaken& expected = expected_of(kind, model);
    const StepsTaken ours = take_steps(job_of(layout, kind, model), *world_, kSteps);
    const std::size_t alike = steps_before_a_flip(ours, expected, *world_);
    const auto first = [&](const std::vector<StepResult>& all) {
      return std::vector<StepResult>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(alike));
    };
    EXPECT_LE(largest_difference(first(ours.results), first(expected.results)), kTolerance);
    EXPECT_LE(largest_difference(ours.gradients, expected.gradients), kTolerance);
    for (std::size_t step = 0; step < kSteps; ++step)
      EXPECT_EQ(ours.results[step].valid_tokens, expected.results[step].valid_tokens) << "step " << step + 1;
    for (std::size_t step = 0; step < alike; ++step)
      EXPECT_EQ(ours.results[step].dropped, expected.results[step].dropped) << "step " << step + 1;
  }

  /// So many models in turn, each value of a factor with every value of the others; layouts of other numbers
  /// of ranks are left out.
  void expect_equal(const std::vector<Layout>& layouts, const Keys& kind, int models) {
    static const std::vector<Model> kAll = all_models();
    constexpr std::size_t kStride = 131;  // shares no factor with their number
    const char* wanted = std::getenv("CARAVAN_CONTEXT_CASES");
    const auto fit = std::count_if(layouts.begin(), layouts.end(),
                                   [&](const Layout& layout) { return layout.ranks() == ranks(); });
    if (fit == 0) GTEST_SKIP() << "no layout of so many ranks";
    const int everyday =
        ranks() < 8 ? models : models / 3;  // eight ranks take turns on few cores; all in long.sh
    const auto count = wanted ? std::atoi(wanted) : (everyday + fit - 1) / fit;
    ASSERT_GT(count, 0);
    std::size_t turn = 0;
    for (const Layout& layout : layouts) {
      for (std::ptrdiff_t i = 0; layout.ranks() == ranks() && i < count; ++i)
        expect_equal(layout, kind, kAll[turn++ * kStride % kAll.size()]);
    }
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

TEST_F(Contexts, of_dense_models_take_the_steps_of_one_rank) {
  expect_equal({{.context = 2},
                {.context = 3},
                {.context = 4},
                {.context = 8},
                {.context = 2, .tensor = 2},
                {.context = 4, .tensor = 2},
                {.context = 2, .tensor = 2, .shards = 2},
                {.context = 2, .shards = 2},
                {.context = 2, .shards = 2, .keys = {"parallel.reshard=never"}},
                {.context = 4, .shards = 2},
                {.context = 2, .keys = kRing},
                {.context = 3, .keys = kRing},
                {.context = 4, .keys = kRing},
                {.context = 8, .keys = kRing},
                {.context = 2, .tensor = 2, .keys = kRing},
                {.context = 4, .shards = 2, .keys = kRing}},
               kDense, 24);
}

TEST_F(Contexts, of_models_with_experts_do_too) {
  expect_equal({{.context = 2},
                {.context = 3},
                {.context = 2, .expert = 2},
                {.context = 4, .expert = 2},
                {.context = 4, .expert = 4, .keys = {"model.dispatch=deepep"}},
                {.context = 2, .shards = 2, .expert = 4},
                {.context = 2, .tensor = 2},
                {.context = 4, .shards = 2, .expert = 8},
                {.context = 4, .tensor = 2},
                {.context = 3, .keys = kRing},
                {.context = 2, .expert = 2, .keys = kRing},
                {.context = 4, .expert = 4, .keys = kRing},
                {.context = 4, .tensor = 2, .keys = kRing}},
               kExperts, 15);
}

/// Which choices an expert takes, and how even they are, is of whole sequences.
TEST_F(Contexts, whose_experts_count_whole_sequences_do_too) {
  const Keys limited{"model.experts=8", "model.top_k=2", "model.capacity_factor=0.7",
                     "model.balance_loss=0.01"};
  const Keys cut{"parallel.expert_tensor=tensor"};
  expect_equal({{.context = 2},
                {.context = 3},
                {.context = 4, .expert = 2},
                {.context = 2, .shards = 2, .expert = 4},
                {.context = 2, .tensor = 2},
                {.context = 2, .tensor = 2, .keys = cut},
                {.context = 2, .pipeline = 2, .schedule = "zbv"},
                {.context = 4, .tensor = 2, .expert = 8}},
               limited, 6);
}

/// What sections cost is measured on a rank that shares its sequences with no other.
TEST_F(Contexts, whose_layers_repeat_what_a_budget_leaves_do_too) {
  expect_equal({.context = ranks()},
               {"model.experts=8", "model.top_k=2", "model.capacity_factor=0.7", "model.balance_loss=0.01"},
               {{"train.sequence_length=37"}, "{budget: 0.5}"});
}

TEST_F(Contexts, of_replicas_do_too) {
  for (const int context : {2, 3, 4}) {
    if (context >= ranks() || ranks() % context != 0) continue;
    Layout layout{.context = context};
    layout.keys = {fmt::format("parallel.data_replicate={}", ranks() / context)};
    Layout divides = layout;
    divides.keys.insert(divides.keys.end(), {"parallel.divide_optimizer=true", "parallel.reshard=never"});
    for (const Keys& kind : {kDense, kExperts}) {
      expect_equal(layout, kind, {{"train.sequence_length=37", "model.dropout=0.1"}, "none"});
      expect_equal(divides, kind, {{"train.sequence_length=37", "model.dropout=0.1"}, "none"});
    }
  }
}

TEST_F(Contexts, of_pipelines_do_too) {
  std::vector<Layout> layouts;
  for (const char* schedule : {"1f1b", "zbv", "dualpipev"}) {
    layouts.push_back({.context = 2, .pipeline = 2, .schedule = schedule});
    layouts.push_back({.context = 2, .shards = 2, .pipeline = 2, .schedule = schedule});
    layouts.push_back({.context = 4, .pipeline = 2, .schedule = schedule});
    layouts.push_back({.context = 2, .tensor = 2, .pipeline = 2, .schedule = schedule});
    layouts.push_back({.context = 2, .pipeline = 2, .schedule = schedule, .keys = kRing});
    layouts.push_back({.context = 4, .pipeline = 2, .schedule = schedule, .keys = kRing});
  }
  expect_equal(layouts, kDense, 24);
  expect_equal(layouts, kExperts, 12);
}

TEST_F(Contexts, of_the_reference_device_do_too) {
  if (test::test_device() != "host") GTEST_SKIP() << "a comparison of devices in host memory";
  for (const char* rotate : {"gather", "ring"})
    expect_equal(
        {.context = ranks(), .keys = {"device=reference", fmt::format("parallel.rotate={}", rotate)}}, kDense,
        {{"train.sequence_length=37", "model.chunk_size=11", "data.document_length=13"}, "none"});
}

/// Tokens of a sequence that ranks of a context group need of each other, counted one by one.
class Needed {
 public:
  Needed(std::int64_t length, std::int64_t chunk, int ranks)
      : chunk_(chunk), owners_(static_cast<std::size_t>(length)), ranks_(ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      const TokenMap map = TokenMap::context(0, length, ranks, rank);
      for (std::int64_t row = 0; row < map.length(); ++row)
        owners_[static_cast<std::size_t>(map.position(row))] = rank;
    }
  }
  std::int64_t of(int owner, int reader) const {
    std::int64_t count = 0;
    for (std::size_t key = 0; key < owners_.size(); ++key) {
      bool is_seen = false;
      for (std::size_t query = key; query < owners_.size() && owners_[key] == owner; ++query)
        is_seen |= owners_[query] == reader && owner != reader && share_a_chunk(key, query);
      count += is_seen;
    }
    return count;
  }
  /// The most that one rank sends: keys in some rounds of a ring, gradients of keys in others; 0: of no
  /// round.
  std::int64_t most(int keys, int gradients) const {
    std::int64_t most = 0;
    for (int rank = 0; rank < ranks_; ++rank)
      most = std::max(most, of_round(rank, (rank + keys) % ranks_, keys) +
                                of_round((rank - gradients + ranks_) % ranks_, rank, gradients));
    return most;
  }
  /// The same of all that a rank sends to others, or sees of them.
  std::int64_t most_of_all(bool gradients) const {
    std::int64_t most = 0;
    for (int rank = 0; rank < ranks_; ++rank) {
      std::int64_t sum = 0;
      for (int other = 0; other < ranks_; ++other) sum += gradients ? of(other, rank) : of(rank, other);
      most = std::max(most, sum);
    }
    return most;
  }

 private:
  std::int64_t of_round(int owner, int reader, int round) const { return round > 0 ? of(owner, reader) : 0; }
  bool share_a_chunk(std::size_t key, std::size_t query) const {
    const auto chunk = static_cast<std::size_t>(chunk_);
    return chunk == 0 || key / chunk == query / chunk;
  }
  std::int64_t chunk_;
  std::vector<int> owners_;
  int ranks_;
};

constexpr std::int64_t kLayers = 4, kBatches = kSequences / 2;
/// Of a token in a step: keys and values of one head of 14, of two sequences, in every layer.
constexpr double kBytes = 2 * 14 * 4 * 2 * kLayers * kBatches;

/// What the segments of keys send in a step, as planned; nothing else travels in a dense model.
TEST_F(Contexts, send_no_keys_where_blocks_are_whole_chunks) {
  const Layout layout{.context = ranks()};
  const auto sent = [&](std::int64_t length, std::int64_t chunk) {
    const Keys keys{fmt::format("train.sequence_length={}", length),
                    fmt::format("model.chunk_size={}", chunk)};
    TrainSetup setup(job_of(layout, kDense, {keys, "none"}), *world_);
    return row_exchanges(setup, Lane::tensor);
  };
  const std::int64_t chunk = 8, length = 2 * ranks() * chunk;
  EXPECT_EQ(sent(length, chunk).bytes, 0);
  EXPECT_EQ(sent(length, chunk).times, 0);
  EXPECT_EQ(sent(2 * length, chunk).bytes, 0) << "two chunks a block";
  EXPECT_EQ(sent(length, 0).times, 2 * kLayers * kBatches);
}

/// Of chunks that blocks part what they share, no more.
TEST_F(Contexts, send_the_keys_that_others_see) {
  for (const std::int64_t length : {37, 40, 64}) {
    for (const std::int64_t chunk : {0, 1, 5, 11, 64}) {
      SCOPED_TRACE(fmt::format("{} tokens, chunks of {}", length, chunk));
      const Needed needed(length, chunk, ranks());
      const auto sent = [&](const Keys& rotation) {
        Keys keys{fmt::format("train.sequence_length={}", length), fmt::format("model.chunk_size={}", chunk)};
        TrainSetup setup(job_of({.context = ranks(), .keys = rotation}, kDense, {keys, "none"}), *world_);
        return row_exchanges(setup, Lane::tensor).bytes;
      };
      EXPECT_EQ(sent({}), kBytes * static_cast<double>(needed.most_of_all(false) + needed.most_of_all(true)));
      std::int64_t in_ring = 0;
      for (int round = 1; round < ranks(); ++round) in_ring += needed.most(round, 0);
      for (int t = 1; t <= ranks() + 1; ++t) in_ring += needed.most(t < ranks() ? t : 0, std::max(0, t - 2));
      EXPECT_EQ(sent(kRing), kBytes * static_cast<double>(in_ring));
    }
  }
}

/// The same of steps that are taken: what is in no walk and what is not posted alike. On four ranks nobody
/// needs anything in the second round of a ring with chunks of 11.
TEST_F(Contexts, post_keys_as_planned) {
  for (const Keys& rotation : {Keys{}, kRing}) {
    for (const std::int64_t chunk : {0, 8, 11}) {
      SCOPED_TRACE(fmt::format("{}, chunks of {}", fmt::join(rotation, ""), chunk));
      const Keys keys{fmt::format("train.sequence_length={}", 2 * ranks() * 8),
                      fmt::format("model.chunk_size={}", chunk)};
      TrainSetup setup(job_of({.context = ranks(), .keys = rotation}, kDense, {keys, "none"}), *world_);
      const auto data = setup.open_data({});
      TrainingSteps steps(setup, *data);
      setup.model().parameters().initialise(5);
      steps.step().executor().measure(Executor::Timing::visits);
      steps.post(steps.read(0), 1);
      steps.step().result();
      const auto& exchanges = steps.step().executor().recorder().exchanges();
      const auto posts = std::count_if(exchanges.begin(), exchanges.end(), [](const RunRecorder::Item& item) {
        return item.name == "keys" || item.name == "attention";
      });
      EXPECT_EQ(posts, row_exchanges(setup, Lane::tensor).times);
      if (chunk == 8) {
        EXPECT_EQ(posts, 0) << "blocks are whole chunks";
      } else if (chunk == 0 && rotation.empty()) {
        EXPECT_EQ(posts, 2 * kLayers * kBatches);
      }
    }
  }
}

/// What is kept within a budget is decided by each rank alone.
TEST_F(Contexts, plan_the_same_memory_for_keys_on_all_ranks) {
  for (const Keys& rotation : {Keys{}, kRing}) {
    for (const std::int64_t chunk : {0, 5, 8, 11, 30}) {
      SCOPED_TRACE(fmt::format("{}, chunks of {}", fmt::join(rotation, ""), chunk));
      const Keys keys{"train.sequence_length=37", fmt::format("model.chunk_size={}", chunk)};
      TrainSetup setup(job_of({.context = ranks(), .keys = rotation}, kDense, {keys, "none"}), *world_);
      StashPlan plan;
      setup.model().stages().front()->layers().at(1)->plan(setup.shape().of_largest_rank(), plan);
      std::int64_t least = 0;
      for (const StashPlan::Declaration& entry : plan.entries())
        if (entry.name.starts_with("keys")) least += entry.shape.count();
      std::int64_t most = least;
      world_->all_reduce(TensorView(&least, DType::i64, {1}), ReduceOp::min);
      world_->all_reduce(TensorView(&most, DType::i64, {1}), ReduceOp::max);
      EXPECT_GT(most, 0);
      EXPECT_EQ(least, most);
    }
  }
}

TEST_F(Contexts, refuse_what_they_do_not_divide) {
  const auto refusal = [&](const Keys& kind, const Keys& keys) {
    return ::caravan::testing::message_of<ConfigError>([&] {
      TrainSetup(job_of({.context = ranks()}, kind, {keys, "none"}), *world_);
    });
  };
  const std::string length = fmt::format("train.sequence_length={}", 2 * ranks() - 1);
  EXPECT_EQ(refusal(kDense, {length}),
            fmt::format("sequences of {} tokens on {} context ranks (each has two blocks, and each block a "
                        "token). A longer train.sequence_length, or fewer ranks?",
                        2 * ranks() - 1, ranks()));
}

}  // namespace
}  // namespace caravan::jobs

#include "jobs/plan/table_sums.hpp"

#include <gmock/gmock.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "jobs/plan/exchanges.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/plan/train_setup.hpp"
#include "parallel/bucketed_reducer.hpp"
#include "parallel/world.hpp"
#include "tests/support/plugin_dir.hpp"

// The gradient of a table by rows beside that of whole tables: the same sums, other exchanges. Runs on 2 and
// 4 ranks.
namespace caravan::jobs {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kWords = 403, kWidth = 20, kLength = 9;
constexpr int kMicrobatches = 2;
constexpr const char* kTable = "tok_embeddings.weight";
constexpr std::int32_t kEverywhere = 7, kNowhere = 8, kFirstOfOwn = 300;

using Keys = std::vector<std::string>;
using Content = ParameterStore::Content;

/// Sums over replicas as they are, and how many elements were to be summed.
class CountedReducer final : public GradientReducer {
 public:
  explicit CountedReducer(Communicator& ranks) : sums_(ranks) {}
  void ready(TensorView grads) override {
    elements += grads.count();
    sums_.ready(grads);
  }
  void progress() override { sums_.progress(); }
  void wait_all() override { sums_.wait_all(); }

  std::int64_t elements = 0;

 private:
  parallel::BucketedReducer sums_;
};

/// What a step left on this rank.
struct Taken {
  std::vector<float> table;    ///< [V, H], of all that keep a part of it
  std::int64_t announced = 0;  ///< elements, to the sums over replicas
  std::size_t room = 0;        ///< bytes of whole gradients
  double norm = 0;
  std::vector<std::string> exchanges = {};  ///< "share", "reduction of embedding"
};

class TableSums : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }

  int ranks() const { return world_->size(); }

  TrainSetup setup(const Keys& keys) const {
    Config tree = Config::parse(fmt::format(R"(
seed: 5
device: host
model: {{plugin: llama4, vocab_size: {}, dim: {}, layers: 2, heads: 2, kv_heads: 1, width_multiple_of: 16, init_std: 0.3}}
data: {{source: synthetic, vocab_size: {}}}
train: {{steps: 9, sequence_length: {}, local_batch_size: 2}}
checkpoint: {{enabled: false}}
)",
                                            kWords, kWidth, kWords, kLength));
    for (const std::string& key : keys) tree.override_with(key);
    const Job job = resolve_job(tree);
    const int data = mesh_layout(job, ranks()).degree(MeshAxis::batch);
    tree.override_with(fmt::format("train.global_batch_size={}", 2 * kMicrobatches * data));
    return TrainSetup(resolve_job(tree), *world_);
  }

  /// Every rank of other tokens has a word of its own beside one that all have.
  static std::vector<std::int32_t> tokens_of(TrainSetup& setup) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(setup.shape().tokens()), kEverywhere);
    const int rank = setup.mesh().coordinate(MeshAxis::loss);
    for (std::size_t at = 0; at < tokens.size(); at += 2) tokens[at] = kFirstOfOwn + rank;
    return tokens;
  }

  Taken take(TrainSetup& setup, const std::vector<std::string>& row_sums) const {
    ModelInstance model(setup.registry(),
                        {&setup.device(), DType::f32, &setup.mesh(), setup.pipeline().rooms, row_sums},
                        setup.job().model_plugin, setup.job().model, kLength);
    model.allocate(Content::weights_and_gradients, setup.slots().size());
    model.parameters().initialise(5);
    StageMemory memory(setup.device(), model, setup.pipeline().training, setup.shape());
    CountedReducer reducer(setup.mesh().group(MeshAxis::dp_replicate).tensors);
    TrainStep step(parts_of(model, setup.step_parts(memory, reducer)));
    step.executor().measure(Executor::Timing::visits);
    const auto tokens = tokens_of(setup);
    const std::vector<MicroBatch> batches(
        kMicrobatches,
        {.tokens = tokens, .labels = tokens, .token_map = setup.share().token_map(0, kLength)});
    const double norm = step.run(batches, {.global_sequences = setup.share().global_batch}).grad_norm;
    Taken taken{.table = whole_table(setup, model.parameters()),
                .announced = reducer.elements,
                .room = model.parameters().memory(Content::weights_and_gradients, 0).gradient_rooms,
                .norm = norm};
    for (const RunRecorder::Item& item : step.executor().recorder().exchanges())
      taken.exchanges.emplace_back(item.name);
    return taken;
  }

  /// Those of a set-up, with another model.
  static TrainStep::Parts parts_of(ModelInstance& model, TrainStep::Parts parts) {
    return {.device = parts.device,
            .plan = std::move(parts.plan),
            .stages = std::move(parts.stages),
            .parameters = model.parameters(),
            .optimizer = parts.optimizer,
            .tokens = parts.tokens,
            .rows = parts.rows,
            .shards = parts.shards,
            .tensor = parts.tensor,
            .pipeline = parts.pipeline,
            .reducer = parts.reducer,
            .sharded = model.sharded(),
            .repeated = model.repeated()};
  }

  /// Of the parts that shards and tensor ranks keep; 0 elsewhere, so that a row that two keep would show.
  static std::vector<float> whole_table(TrainSetup& setup, const ParameterStore& store) {
    std::vector<float> all(static_cast<std::size_t>(kWords * kWidth));
    for (const Fragment& fragment : store.fragments()) {
      if (fragment.parameter->spec().name != kTable) continue;
      const std::int64_t first = fragment.parameter->part_box(0).begin(0) * kWidth + fragment.begin;
      std::copy_n(fragment.grad.as<float>(), fragment.count(), all.data() + first);
    }
    const TensorView view(all.data(), DType::f32, {kWords * kWidth});
    for (const MeshAxis axis : {MeshAxis::fsdp, MeshAxis::tp})
      setup.mesh().group(axis).host.all_reduce(view, ReduceOp::sum);
    return all;
  }

  /// Of all ranks, which have each other's parts by now.
  void expect_same_bits_everywhere(const std::vector<float>& table) const {
    std::vector<float> least = table, most = table;
    const auto view = [](std::vector<float>& values) {
      return TensorView(values.data(), DType::f32, {static_cast<std::int64_t>(values.size())});
    };
    world_->all_reduce(view(least), ReduceOp::min);
    world_->all_reduce(view(most), ReduceOp::max);
    EXPECT_EQ(least, most);
  }

  void expect_equal_sums(const Taken& rows, const Taken& wholes) const {
    double difference = 0, squares = 0;
    for (std::size_t at = 0; at < rows.table.size(); ++at) {
      difference += std::pow(double{rows.table[at]} - wholes.table[at], 2);
      squares += std::pow(double{wholes.table[at]}, 2);
    }
    EXPECT_LE(std::sqrt(difference / squares), 1e-6);
    EXPECT_NEAR(rows.norm, wholes.norm, 1e-6 * wholes.norm);
    expect_same_bits_everywhere(rows.table);
  }

  /// The word that all have, those of one rank each, and one that nobody has.
  static void expect_the_words_of_all_ranks(const Taken& taken, int others) {
    const auto has_gradient = [&](std::int32_t word) {
      const auto row = taken.table.begin() + word * kWidth;
      return std::any_of(row, row + kWidth, [](float value) { return value != 0; });
    };
    EXPECT_TRUE(has_gradient(kEverywhere));
    for (int rank = 0; rank < others; ++rank) EXPECT_TRUE(has_gradient(kFirstOfOwn + rank)) << rank;
    EXPECT_FALSE(has_gradient(kNowhere));
    EXPECT_FALSE(has_gradient(kFirstOfOwn + others));
  }

  static const Parameter& table_of(TrainSetup& setup) {
    const auto& all = setup.model().parameters().parameters();
    return **std::find_if(all.begin(), all.end(),
                          [](const auto& each) { return each->spec().name == kTable; });
  }

  /// What goes over the shard lane, and what is announced to be summed over replicas.
  static void expect_other_exchanges(TrainSetup& setup, const Taken& rows, const Taken& wholes) {
    const auto times = [](const Taken& taken, const char* name) {
      return std::count(taken.exchanges.begin(), taken.exchanges.end(), name);
    };
    const Mesh& mesh = setup.mesh();
    const bool is_divided = mesh.degree(MeshAxis::fsdp) > 1,
               has_replicas = mesh.degree(MeshAxis::dp_replicate) > 1;
    EXPECT_EQ(times(rows, "share"), kMicrobatches);
    EXPECT_EQ(times(wholes, "share"), 0);
    const std::int64_t elements = table_of(setup).shape().count();
    if (is_divided) {
      EXPECT_GE(wholes.room, rows.room + static_cast<std::size_t>(elements) * sizeof(float));
    }
    EXPECT_EQ(times(rows, "reduction of embedding"), 0);
    EXPECT_EQ(wholes.announced - rows.announced > 0, has_replicas);
    if (has_replicas && !is_divided) {
      EXPECT_EQ(wholes.announced - rows.announced, elements);
    }
  }

  /// A dry run says what a rank receives of others' tokens.
  static void expect_planned_bytes(TrainSetup& setup) {
    const StepExchanges planned = step_exchanges(setup);
    const std::int64_t tokens = setup.shape().of_largest_rank().tokens(),
                       others = setup.mesh().degree(MeshAxis::loss) - 1;
    EXPECT_EQ(planned.table.times, kMicrobatches);
    EXPECT_EQ(planned.table.bytes,
              static_cast<double>(kMicrobatches * others * tokens * (kWidth + 1)) * sizeof(float));
    EXPECT_EQ(planned.table.bytes, setup.table_sums().front().by_rows);
    EXPECT_THAT(describe(planned, ""), HasSubstr("rows of tables"));
    for (const auto& [group, traffic] : planned_traffic(setup))
      EXPECT_TRUE(traffic.reductions == 0 || group->name != "embedding");
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

struct Layout {
  int ranks;
  Keys keys;
};

TEST_F(TableSums, by_rows_are_those_of_whole_tables_with_other_exchanges) {
  for (const Layout& layout :
       std::vector<Layout>{{ranks(), {}},
                           {ranks(), {"parallel.divide_optimizer=false"}},
                           {ranks(), {fmt::format("parallel.data_shard={}", ranks())}},
                           {ranks(), {fmt::format("parallel.context={}", ranks())}},
                           {4, {"parallel.data_shard=2", "parallel.data_replicate=2"}},
                           {4, {"parallel.data_shard=2", "parallel.context=2", "parallel.reshard=never"}},
                           {4, {"parallel.data_shard=2", "parallel.tensor=2"}},
                           {4, {"parallel.tensor=2"}},
                           {4,
                            {"parallel.data_shard=2", "parallel.data_replicate=2", "model.experts=4",
                             "parallel.expert=2"}}}) {
    if (layout.ranks != ranks()) continue;
    SCOPED_TRACE(fmt::format("{}", fmt::join(layout.keys, " ")));
    TrainSetup setup = this->setup(layout.keys);
    const std::vector<std::string> names = summed_by_rows(setup.table_sums());
    ASSERT_EQ(names, std::vector<std::string>{kTable});
    expect_planned_bytes(setup);
    const Taken rows = take(setup, names), wholes = take(setup, {});
    expect_equal_sums(rows, wholes);
    expect_the_words_of_all_ranks(rows, setup.mesh().degree(MeshAxis::loss));
    expect_other_exchanges(setup, rows, wholes);
  }
}

TEST_F(TableSums, are_of_wholes_where_rows_are_no_fewer_bytes) {
  const std::string shards = fmt::format("parallel.data_shard={}", ranks());
  // Of T tokens and rows that come to a rank, and the elements of a table of as many bytes.
  const double tokens = static_cast<double>(kMicrobatches) * 2 * kLength * (ranks() - 1);
  const double words = tokens * (kWidth + 1) / kWidth * ranks() / (ranks() - 1);
  for (const auto& [vocabulary, by_rows] :
       {std::pair(static_cast<int>(words), false), {static_cast<int>(words) + 1, true}}) {
    TrainSetup setup = this->setup({shards, fmt::format("model.vocab_size={}", vocabulary),
                                    fmt::format("data.vocab_size={}", vocabulary)});
    ASSERT_EQ(setup.table_sums().size(), 1u);
    EXPECT_EQ(setup.table_sums().front().sums_rows(), by_rows) << vocabulary;
    EXPECT_EQ(step_exchanges(setup).table.times, by_rows ? kMicrobatches : 0);
    EXPECT_THAT(describe(setup.table_sums()),
                HasSubstr(by_rows ? "summed by rows" : "rows would be no fewer bytes"));
  }
}

TEST_F(TableSums, of_replicas_that_divide_nothing_weigh_twice_those_of_shards) {
  const auto bytes = [&](const Keys& keys) { return setup(keys).table_sums().front().of_wholes; };
  const double all = static_cast<double>(kWords * kWidth) * sizeof(float);
  EXPECT_DOUBLE_EQ(bytes({fmt::format("parallel.data_shard={}", ranks())}), all * (ranks() - 1) / ranks());
  EXPECT_DOUBLE_EQ(bytes({"parallel.divide_optimizer=false"}), 2 * all * (ranks() - 1) / ranks());
  EXPECT_DOUBLE_EQ(bytes({}), all * (ranks() - 1) / ranks()) << "of replicas that divide the optimizer";
  if (ranks() == 4) {
    EXPECT_DOUBLE_EQ(bytes({"parallel.data_shard=2", "parallel.data_replicate=2"}), all / 2 + all / 2);
  }
}

TEST_F(TableSums, of_a_tied_head_are_of_wholes_on_every_stage) {
  for (const Keys& keys : std::vector<Keys>{{}, {"parallel.pipeline=2", "parallel.data_shard=-1"}}) {
    Keys tied = keys;
    tied.emplace_back("model.tied_head=true");
    if (ranks() == 2 && !keys.empty()) continue;  // nobody is left to hold other tokens
    TrainSetup setup = this->setup(tied);
    EXPECT_THAT(describe(setup.table_sums()), HasSubstr("other layers add to it too"));
    for (const auto& parameter : setup.model().parameters().parameters())
      EXPECT_FALSE(parameter->sums_rows()) << parameter->spec().name;
  }
}

TEST_F(TableSums, are_nobody_s_where_all_ranks_have_the_same_tokens) {
  TrainSetup setup = this->setup(
      {fmt::format("parallel.tensor={}", ranks()), "model.heads=4", "model.head_dim=4", "model.kv_heads=4"});
  EXPECT_TRUE(setup.table_sums().empty());
  EXPECT_EQ(step_exchanges(setup).table.times, 0);
}

}  // namespace
}  // namespace caravan::jobs

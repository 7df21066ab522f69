#include <fmt/format.h>
#include <gmock/gmock.h>

#include "io/safetensors/reader.hpp"
#include "io/safetensors/writer.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"

// `caravan forward` on ranks that divide sequences, matrices and experts of a model that two shards saved,
// with a noisy router and a balance loss, which is of whole sequences and only of training.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr double kTolerance = 2e-5;

struct Ranks {
  int all, context = 1, tensor = 1, expert = 1;
};

class ForwardRanks : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(8, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  void save(const std::string& name, int ranks, std::vector<std::string> more) const {
    more.insert(more.end(), {"checkpoint.create_seed=true", "model.init_std=0.2"});
    ASSERT_TRUE(ended_with(run(train(job_, name, ranks, more)), 0));
  }
  /// Two sequences.
  void write_inputs(std::int64_t length) const {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(2 * length));
    for (std::size_t at = 0; at < ids.size(); ++at) ids[at] = static_cast<std::int64_t>(at * 7 % 64);
    io::SafetensorsWriter inputs(file("inputs.safetensors"));
    inputs.add("input_ids", TensorView(ids.data(), DType::i64, {2, length}));
    inputs.commit();
  }
  Outcome forward(const std::string& run_folder, const std::string& name, const Ranks& ranks) const {
    return run({{"forward", "--model", file(run_folder), "--inputs", file("inputs.safetensors"), "--outputs",
                 file(name + "-answers"), "--gradients", file(name + "-gradients"), "--device", "host",
                 "--precision", "fp32", "--context", std::to_string(ranks.context), "--tensor",
                 std::to_string(ranks.tensor), "--expert", std::to_string(ranks.expert)},
                ranks.all,
                {},
                60});
  }
  void expect_same(const std::string& name, const std::string& wanted) const {
    const io::SafetensorsFile ours(file(name)), theirs(file(wanted));
    ASSERT_EQ(ours.names(), theirs.names());
    for (const std::string& each : theirs.names())
      EXPECT_LE(norm_of_difference(ours.read_as_f32(each), theirs.read_as_f32(each)), kTolerance) << each;
  }
  std::string job_;
};

TEST_F(ForwardRanks, AnswerAsOneRankDoes) {
  save("run", 2, {"parallel.data_shard=2"});
  for (const std::int64_t length : {3, 13, 16}) {
    write_inputs(length);
    ASSERT_TRUE(ended_with(forward("run", "one", {1}), 0));
    for (const Ranks& ranks : {Ranks{2, 2}, Ranks{3, 3}, Ranks{2, 2, 1, 2}, Ranks{4, 2}, Ranks{4, 2, 2},
                               Ranks{4, 2, 1, 4}, Ranks{4, 2, 2, 4}, Ranks{4, 4}}) {
      SCOPED_TRACE(fmt::format("{} tokens on {} ranks: context {}, tensor {}, expert {}", length, ranks.all,
                               ranks.context, ranks.tensor, ranks.expert));
      ASSERT_TRUE(ended_with(forward("run", "ranks", ranks), 0));
      expect_same("ranks-answers", "one-answers");
      expect_same("ranks-gradients", "one-gradients");
    }
  }
}

TEST_F(ForwardRanks, OfPartsOfSequencesDropWhatOneRankDrops) {
  save("run", 1, {"model.capacity_factor=0.6", "model.balance_loss=0"});
  write_inputs(16);
  ASSERT_TRUE(ended_with(forward("run", "one", {1}), 0));
  for (const Ranks& ranks : {Ranks{2, 2}, Ranks{2, 1, 2}, Ranks{4, 2, 2}, Ranks{4, 2, 1, 4}, Ranks{4, 4}}) {
    SCOPED_TRACE(fmt::format("{} ranks: context {}, tensor {}", ranks.all, ranks.context, ranks.tensor));
    ASSERT_TRUE(ended_with(forward("run", "ranks", ranks), 0));
    expect_same("ranks-answers", "one-answers");
    expect_same("ranks-gradients", "one-gradients");
  }
  write_inputs(13);
  const Outcome filled = forward("run", "ranks", {2, 2});
  EXPECT_TRUE(ended_with(filled, 2));
  EXPECT_THAT(filled.err,
              HasSubstr("sequences of 13 tokens on 2 context and 1 tensor ranks with "
                        "model.capacity_factor=0.6 (their rows are filled up to a multiple of 4"));
}

TEST_F(ForwardRanks, ThatAreNotThereAreRefusedWithTheirNumber) {
  save("run", 1, {});
  write_inputs(8);
  const Outcome fewer = forward("run", "ranks", {3, 2});
  EXPECT_TRUE(ended_with(fewer, 2));
  EXPECT_THAT(fewer.err, HasSubstr("context=2"));
  EXPECT_THAT(fewer.err, HasSubstr("Start a multiple of 2 ranks?"));
  const Outcome none = forward("run", "ranks", {1, 0});
  EXPECT_TRUE(ended_with(none, 2));
  EXPECT_THAT(none.err, HasSubstr("--context=0"));
}

TEST_F(ForwardRanks, OfPartsOfSequencesDoNotDecode) {
  const Outcome outcome =
      run({{"generate", "--model", "x", "--prompt-ids", "1", "--context", "2"}, 2, {}, 60});
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr("--context"));
}

}  // namespace
}  // namespace caravan::test

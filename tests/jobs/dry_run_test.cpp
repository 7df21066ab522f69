#include <gmock/gmock.h>

#include <regex>

#include "tests/jobs/job_test.hpp"

// What --dry-run says of operators: every one that a step calls, what runs it, and which are slow.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DryRun : public JobTest {
 protected:
  Outcome dry_run(const std::vector<std::string>& overrides, int ranks = 0) const {
    Command command = train(job(kMiniJob), "dry", ranks, overrides);
    command.arguments.emplace_back("--dry-run");
    return run(command);
  }
  Outcome dry_run_in(const std::map<std::string, std::string>& environment) const {
    Command command = train(job(kMiniJob), "dry", 0, {"device=host"});
    command.arguments.emplace_back("--dry-run");
    for (const auto& [name, value] : environment) command.environment[name] = value;
    return run(command);
  }
  /// "12  own loops (why)" of an operator; empty where the table lacks it.
  static std::string line_of(const std::string& text, const std::string& operator_name) {
    std::smatch found;
    const std::regex line("\n  " + operator_name + " +([^\n]*)");
    return std::regex_search(text, found, line) ? found[1].str() : "";
  }
};

TEST_F(DryRun, NamesWhatRunsEveryOperatorOfAStep) {
  const Outcome outcome = dry_run({});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("# operators on host"));
  for (const char* name :
       {"embedding_forward", "rmsnorm_forward", "linear_forward", "qk_prepare_forward", "attention_forward",
        "route_forward", "permute_forward", "gate_up_forward", "grouped_linear_forward", "combine_forward",
        "linear_cross_entropy", "grouped_linear_backward_weight", "down_backward_input", "attention_backward",
        "rmsnorm_backward_input", "embedding_backward_weight", "sum_of_squares", "adamw_step"})
    EXPECT_THAT(line_of(outcome.out, name), HasSubstr("own loops")) << name;
  EXPECT_EQ(line_of(outcome.out, "attention_forward"), "2  own loops (vectors of this processor)")
      << "one for each of two layers";
  EXPECT_EQ(line_of(outcome.out, "linear_cross_entropy"), "1  own loops (vectors of this processor)");
  EXPECT_THAT(outcome.out, Not(HasSubstr("slow")));
}

TEST_F(DryRun, SaysOfAnOperatorThatItIsSlow) {
  const Outcome wide = dry_run({"model.dim=1024", "model.heads=1"});
  ASSERT_TRUE(ended_with(wide, 0));
  EXPECT_EQ(line_of(wide.out, "qk_prepare_forward"), "2  plain loops, slow (double accumulation)");
  EXPECT_EQ(line_of(wide.out, "attention_forward"), "2  own loops (vectors of this processor)");

  const Outcome reference = dry_run({"device=reference"});
  ASSERT_TRUE(ended_with(reference, 0));
  EXPECT_EQ(line_of(reference.out, "adamw_step").substr(3), "plain loops, slow (double accumulation)");
}

TEST_F(DryRun, CountsWhatIsDoneAgain) {
  const Outcome outcome = dry_run({"train.recompute=full"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(line_of(outcome.out, "attention_forward").substr(0, 2), "3 ")
      << "what the last layer made is still there";
  EXPECT_EQ(line_of(outcome.out, "attention_backward").substr(0, 2), "2 ");
}

TEST_F(DryRun, KnowsTheStagesOfAPipelineRankWhoseIAndWAreApart) {
  const Outcome outcome = dry_run({"parallel.pipeline=2", "parallel.schedule=zb_h1", "model.layers=4",
                                   "parallel.first_stage_less=0", "parallel.last_stage_less=0"},
                                  2);
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(line_of(outcome.out, "attention_forward").substr(0, 2), "2 ") << "the first of two stages";
  EXPECT_EQ(line_of(outcome.out, "linear_cross_entropy"), "") << "belongs to the other";
}

TEST_F(DryRun, SaysWhenTheDataCannotTellWhetherTheyHaveDocuments) {
  const Outcome outcome = dry_run({"data={source: safetensors, path: nowhere.safetensors}"});
  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.out, HasSubstr("without documents, as the data cannot be opened: "));
  EXPECT_NE(line_of(outcome.out, "attention_forward"), "");
}

TEST_F(DryRun, RefusesWhatTrainingWouldRefuseAfterThePlan) {
  const std::string start = "checkpoint.initial_load=" + file("nowhere");
  for (const int ranks : {0, 2}) {
    const Outcome outcome = dry_run({start}, ranks),
                  trained = run(train(file("job.yaml"), "run", ranks, {start}));
    EXPECT_THAT(outcome.out, HasSubstr("# parameters"));
    EXPECT_EQ(outcome.code, trained.code);
    EXPECT_THAT(outcome.err, HasSubstr(file("nowhere")));
  }
  EXPECT_FALSE(std::filesystem::exists(file("dry")));
}

TEST_F(DryRun, RefusesWhatThisMachineHasNoMemoryForAfterThePlan) {
  const std::vector<std::string> large{"train.local_batch_size=1048576", "train.global_batch_size=1048576",
                                       "train.sequence_length=1024"};
  const Outcome outcome = dry_run(large), trained = run(train(file("job.yaml"), "run", 0, large));
  EXPECT_THAT(outcome.out, HasSubstr("# parameters"));
  EXPECT_EQ(outcome.code, trained.code);
  EXPECT_THAT(outcome.err, HasSubstr("this rank needs"));
}

TEST_F(DryRun, RefusesKeysThatContradictEachOther) {
  for (const auto& [overrides, message] :
       {std::pair(std::vector<std::string>{"checkpoint.create_seed=true", "checkpoint.enabled=false"},
                  "a seed is a checkpoint"),
        {{"metrics.timeline_step=7"}, "it is never reached"},
        {{"model.chunk_layers=[0]"}, "chunk_layers has no effect (chunk_size is 0)"},
        {{"model.limited_groups=1"}, "limited_groups has no effect (groups is 0)"},
        {{"model.experts=0", "model.capacity_factor=2"}, "capacity_factor has no effect (no layer has"},
        {{"model.experts=0", "model.balance_loss=0.1"}, "balance_loss has no effect (no layer has"},
        {{"model.nope_interval=2", "model.nope_offset=2"}, "nope_offset=2 has no effect"}}) {
    const Outcome outcome = dry_run(overrides);
    EXPECT_TRUE(ended_with(outcome, 2)) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(DryRun, RefusesDataThatLeaveNothingToTrainOn) {
  const std::string text = "data={source: text, path: [" + job("words of a text", "text") +
                           "], tokenizer: " + file("tokenizer.json") + ", validation_fraction: 0.999}";
  ASSERT_TRUE(ended_with(caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "262",
                                  "--output", file("tokenizer.json")}),
                         0));
  const std::vector<std::string> overrides{text, "model.vocab_size=320"};
  for (const std::vector<std::string>& ranks : {std::vector<std::string>{}, {"--ranks", "2"}}) {
    Command command = train(job(kMiniJob), "dry", 0, overrides);
    command.arguments.emplace_back("--dry-run");
    command.arguments.insert(command.arguments.end(), ranks.begin(), ranks.end());
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, run(train(file("job.yaml"), "run", 0, overrides)).code);
    EXPECT_NE(outcome.code, 0);
  }
}

TEST_F(DryRun, ThreadsThatAreNoNumberAreRefused) {
  for (const char* wanted : {"abc", "0", "-2", "2x"}) {
    const Outcome outcome = dry_run_in({{"OMP_NUM_THREADS", wanted}});
    EXPECT_TRUE(ended_with(outcome, 2)) << wanted;
    EXPECT_THAT(outcome.err,
                HasSubstr(std::string("OMP_NUM_THREADS='") + wanted + "' (no number of threads"));
  }
  EXPECT_TRUE(ended_with(dry_run_in({{"OMP_NUM_THREADS", "2,1"}}), 0)) << "of inner teams, too";
}

/// libgomp's own report says what it has read.
TEST_F(DryRun, IdleThreadsSleepSoonUnlessTheEnvironmentSaysOtherwise) {
  const std::map<std::string, std::string> shown{{"OMP_DISPLAY_ENV", "verbose"}};
  const auto with = [&](const char* name, const char* value) {
    auto environment = shown;
    environment[name] = value;
    return dry_run_in(environment).err;
  };
  const std::string usual = dry_run_in(shown).err;
  if (usual.find("GOMP_SPINCOUNT") == std::string::npos) GTEST_SKIP() << "another OpenMP than libgomp";
  EXPECT_THAT(usual, HasSubstr("GOMP_SPINCOUNT = '3000'"));
  EXPECT_THAT(with("GOMP_SPINCOUNT", "7"), HasSubstr("GOMP_SPINCOUNT = '7'"));
  EXPECT_THAT(with("OMP_WAIT_POLICY", "passive"), HasSubstr("GOMP_SPINCOUNT = '0'"));
}

}  // namespace
}  // namespace caravan::test

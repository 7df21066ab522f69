#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <deque>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/safetensors/writer.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/support/launcher_codes.hpp"

// Runs that break while they run: all ranks end within seconds, the cause is the last line, what was saved
// stays.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr double kSoon = 15;  // seconds, of a busy machine; the ranks themselves take about one

class Failure : public JobTest {
 protected:
  Command failing(const std::string& data, int ranks, const std::vector<std::string>& overrides = {}) const {
    std::string yaml = kMiniJob;
    const std::string from = "{source: synthetic, vocab_size: 64}";
    yaml.replace(yaml.find(from), from.size(), "{source: failing, " + data + "}");
    Command command = train(job(yaml), "run", ranks, overrides);
    command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FAILING_PLUGINS;
    return command;
  }
  /// Runs to the end and expects nothing of it to be left.
  Outcome end_of(const Command& command) const {
    Program program(command, folder_.path());
    Outcome outcome = program.wait();
    EXPECT_TRUE(program.all_gone_within(kSoon)) << "ranks outlive the job";
    EXPECT_LT(outcome.seconds, kSoon);
    return outcome;
  }
};

TEST_F(Failure, APluginThatThrowsWhenItIsMadeIsNamed) {
  const std::vector<std::tuple<std::string, int, std::string>> cases{
      {"io", 3, "the disk of this rank is gone"},
      {"standard", 1, "a plain exception"},
      {"number", 1, "an exception that is no std::exception"}};
  for (const auto& [how, code, message] : cases) {
    const Outcome outcome = end_of(failing("when: create, how: " + how, 0));
    EXPECT_TRUE(ended_with(outcome, code));
    EXPECT_THAT(outcome.err, HasSubstr("error " + message + "\n  in data 'failing' of " + file("job.yaml") +
                                       ":5 (plugin failing-data 1.0.0, "));
  }
}

TEST_F(Failure, AnExceptionOnOneRankEndsAllAndIsTheLastLine) {
  const Outcome made = end_of(failing("when: create, how: io, rank: 1", 2));
  EXPECT_TRUE(ended_with(made, 3));
  EXPECT_THAT(made.err, HasSubstr("error [rank 1] the disk of this rank is gone"));
  EXPECT_THAT(made.last_line(), HasSubstr("in data 'failing'"));

  const Outcome read = end_of(failing("when: read, how: standard, rank: 1, sample: 14", 2,
                                      {"train.steps=50", "checkpoint.async=false"}));
  EXPECT_TRUE(ended_with(read, 1));
  EXPECT_THAT(read.last_line(), HasSubstr("error [rank 1] a plain exception"));
  EXPECT_EQ(io::find_latest(file("run")).step, 2) << "sample 14 belongs to step 4";
}

TEST_F(Failure, ARankThatIsKilledEndsTheOthers) {
  for (int rank : {0, 1}) {
    const std::string name = "killed-" + std::to_string(rank);
    Program program(train(job(kMiniJob), name, 2, {"train.steps=1000000", "checkpoint.every=1000000"}),
                    folder_.path());
    ASSERT_TRUE(program.wait_for("\nstep 1/", 60)) << program.err_so_far();
    const pid_t victim = program.process_of_rank(rank);
    ASSERT_GT(victim, 0);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(::kill(victim, SIGKILL), 0);
    const Outcome outcome = program.wait();
    EXPECT_TRUE(ended_with(outcome, kCodeOfKilledRank));
    EXPECT_TRUE(program.all_gone_within(kSoon));
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), kSoon);
  }
}

TEST_F(Failure, ARankThatDiesWhileItReadsEndsTheOthers) {
  const Outcome outcome =
      end_of(failing("when: read, how: kill, rank: 1, sample: 10", 2, {"checkpoint.async=false"}));
  EXPECT_TRUE(ended_with(outcome, kCodeOfKilledRank));
  EXPECT_EQ(io::find_latest(file("run")).step, 2);
}

TEST_F(Failure, ALossThatIsNotFiniteNamesStepAndSamplesAndChangesNothing) {
  for (int ranks : {0, 2}) {
    const std::string name = "run-" + std::to_string(ranks);
    const Outcome outcome = end_of(
        train(job(kMiniJob), name, ranks, {"train.lr=1e30", "train.warmup_steps=0", "checkpoint.every=1"}));
    EXPECT_TRUE(ended_with(outcome, 16));
    EXPECT_THAT(outcome.last_line(), HasSubstr("step 2: loss "));
    EXPECT_THAT(outcome.last_line(),
                HasSubstr("in the batch of 4 sequences from sample 4 on (not finite, nothing was updated)"));
    EXPECT_EQ(io::find_latest(file(name)).step, 1);
    EXPECT_EQ(read_metrics(file(name)).size(), 1u);
  }
}

/// Weights of `checkpoint` as a safetensors file, with the last element of one parameter not a number.
void write_broken_weights(const std::string& checkpoint, const std::string& broken, const std::string& path) {
  io::SafetensorsWriter writer(path);
  const auto reader = io::CheckpointReader::open(checkpoint);
  std::deque<std::vector<float>> values;
  for (const io::TensorRecord& tensor : reader.tensors()) {
    if (!tensor.name.starts_with("/model/")) continue;
    auto& elements = values.emplace_back(static_cast<std::size_t>(tensor.shape.count()));
    reader.read(tensor.name, TensorView(elements.data(), DType::f32, tensor.shape));
    if (tensor.name == "/model/" + broken) elements.back() = std::nanf("");
    writer.add(tensor.name.substr(7), TensorView(elements.data(), DType::f32, tensor.shape));
  }
  writer.commit();
}

TEST_F(Failure, AWeightThatIsNotANumberIsFoundInTheFirstStep) {
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "source", 0, {"train.steps=1"})), 0));
  write_broken_weights(io::find_latest(file("source")).path.value(), "output.weight",
                       file("weights.safetensors"));

  const Outcome outcome =
      end_of(train(job(kMiniJob), "run", 2,
                   {"checkpoint.initial_load=" + file("weights.safetensors"), "checkpoint.every=1"}));

  EXPECT_TRUE(ended_with(outcome, 16));
  EXPECT_THAT(outcome.last_line(), HasSubstr("step 1: loss "));
  EXPECT_FALSE(io::find_latest(file("run")).path) << "a broken state is not saved";
}

TEST_F(Failure, AValidationLossThatIsNotFiniteHasACodeOfItsOwn) {
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "source", 0, {"train.steps=1"})), 0));
  write_broken_weights(io::find_latest(file("source")).path.value(), "tok_embeddings.weight",
                       file("weights.safetensors"));

  const Outcome outcome = end_of(
      failing("when: read, how: io, sample: 1000000", 2,  // its tokens leave the broken embedding alone
              {"checkpoint.initial_load=" + file("weights.safetensors"), "validation.batches=4",
               "validation.data={source: synthetic, vocab_size: 64}", "validation.every=2"}));

  EXPECT_TRUE(ended_with(outcome, 17));
  EXPECT_THAT(outcome.last_line(), HasSubstr("nan over 4 samples (not finite, although the "
                                             "training loss is)"));
}

TEST_F(Failure, AnOutputThatCannotBeWrittenIsSaidBeforeTheFirstStep) {
  spill(file("taken"), "a file");
  for (const char* output : {"taken", "taken/below"}) {
    const Outcome outcome = end_of(train(job(kMiniJob), output, 2));
    EXPECT_TRUE(ended_with(outcome, 3));
    EXPECT_THAT(outcome.last_line(),
                HasSubstr("error [rank 0] the output " + file(output) + " cannot be made"));
    EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("step 1/")));
  }
}

}  // namespace
}  // namespace caravan::test

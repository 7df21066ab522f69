#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// Jobs that cannot be right: exit code 2, one message with file, line, path and the nearest name; nothing is
// written.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

/// The mini job with `from` replaced by `to`.
struct Mistake {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class BadJob : public JobTest, public ::testing::WithParamInterface<Mistake> {};

TEST_P(BadJob, IsRefusedWithItsPlaceAndRemedy) {
  std::string yaml = kMiniJob;
  const std::size_t at = yaml.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  yaml.replace(at, std::string(GetParam().from).size(), GetParam().to);

  const Outcome outcome = run(train(job(yaml), "run", 0));

  ASSERT_TRUE(ended_with(outcome, 2));
  std::string message = GetParam().message;
  if (message.starts_with(":")) message.insert(0, file("job.yaml"));
  EXPECT_THAT(outcome.err, HasSubstr("error " + message));
  EXPECT_EQ(outcome.errors(), 1) << "one message a cause\n" << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(file("run")));
}

const Mistake kMistakes[] = {
    {"MistypedSection",
     "train:", "trian:", ":6: unknown key 'trian' (no parameter of job). Did you mean 'train'?"},
    {"MistypedKey", "warmup_steps", "warmup_step",
     ":6: unknown key 'warmup_step' in train (no parameter of section train). Did you mean 'warmup_steps'?"},
    {"UnknownKeyWithoutNeighbour", "log_every: 1", "colour: 1", ":6: unknown key 'colour' in train"},
    {"MistypedModelKey", "layers: 2", "layrs: 2",
     ":4: unknown key 'layrs' in model (no parameter of model 'llama4'). Did you mean 'layers'?"},
    {"MistypedDataKey", "data: {source: synthetic, ", "data: {source: synthetic, sampels: 3, ",
     ":5: unknown key 'sampels' in data (no parameter of data 'synthetic'). Did you mean 'samples'?"},
    {"MissingModelKey", "dim: 32, ", "", ":4: key 'dim' in model is missing"},
    {"MissingSource", "source: synthetic, ", "",
     ":5: data.source is missing (tokens, text, safetensors, mix, synthetic"},
    {"MissingSection", "data: {source: synthetic, vocab_size: 64}\n", "",
     ":1: key 'data' is missing (job needs it: "},
    {"SectionThatIsNoMap", "checkpoint: {every: 2}", "checkpoint: 2", ":7: checkpoint is not a map"},
    {"TextForANumber", "steps: 6", "steps: six", ":6: train.steps='six' (must be an integer such as 12"},
    {"FractionForAnInteger", "steps: 6", "steps: 6.5",
     ":6: train.steps='6.5' (must be an integer such as 12"},
    {"QuotedNumber", "steps: 6", "steps: \"6\"", ":6: train.steps='6' (must be an integer"},
    {"Octal", "seed: 5", "seed: 010", ":3: seed='010' (must be an integer"},
    {"YesForTrue", "{every: 2}", "{resume: yes}", ":7: checkpoint.resume='yes' (must be true or false)"},
    {"ListForANumber", "steps: 6", "steps: [6]", ":6: train.steps is a list (must be an integer"},
    {"BelowTheRange", "lr: 1e-3", "lr: -1e-3", ":6: train.lr=-1e-3 (must be > 0)"},
    {"AboveTheRange", "layers: 2", "layers: 2, dropout: 1.5", ":4: model.dropout=1.5 (must be in [0, 1))"},
    {"InfiniteRate", "lr: 1e-3", "lr: .inf", ":6: train.lr="},
    {"HugeNumber", "steps: 6", "steps: 99999999999999999999", ":6: train.steps="},
    {"UnknownChoice", "lr: 1e-3", "lr: 1e-3, decay: cosin",
     ":6: train.decay='cosin' (must be one of: linear, sqrt, cosine). Did you mean 'cosine'?"},
    {"DuplicateKey", "log_every: 1", "log_every: 1, steps: 7",
     ":6: the key 'steps' stands twice in train (first at "},
    {"Anchor", "{every: 2}", "&a {every: 2}", ":7: anchors (&name) are not allowed. Write the value out?"},
    {"Alias", "{every: 2}", "*a", ":7: "},
    {"Tag", "seed: 5", "seed: !!python/object 5", ":3: tags ("},
    {"TwoDocuments", "checkpoint:", "---\ncheckpoint:", ":7: there is text after the first document"},
    {"Unclosed", "{every: 2}", "{every: 2", ":"},
    {"UnknownPreset", "{vocab_size: 64, ", "{preset: debugmodl, vocab_size: 64, ",
     ":4: no model preset 'debugmodl' (there are: "},
    {"UnknownModelPlugin", "{vocab_size: 64, ", "{plugin: llama, vocab_size: 64, ",
     "no model 'llama' (searched: "},
    {"UnknownDevice", "device: host", "device: hots", "no device 'hots' (searched: "},
    {"OptionsOfWhicheverDevice", "device: host", "device_options: {deterministic: true}",
     "device_options with device: auto (it is not known whose options they are). Name the device?"},
    {"UnknownDeviceOption", "device: host", "device: reference\ndevice_options: {deterministic: true}",
     ":3: unknown key 'deterministic' in device_options (no parameter of device 'reference')"},
    {"UnknownSource", "source: synthetic", "source: synthetc", "no data 'synthetc' (searched: "},
    {"UnknownOptimizer", "seed: 5", "optimizer: {name: adamax}", "no optimizer 'adamax' (searched: "},
    {"UnknownSchedule", "seed: 5", "parallel: {schedule: 1f1bb}", "no schedule '1f1bb' (searched: "},
    {"DegreesThatAreNotTheRanks", "seed: 5", "parallel: {data_replicate: 3}",
     "pipeline=1 x data_replicate=3 x data_shard=1 x context=1 x tensor=1 = 3, but the job has 1 rank "},
    {"IndivisibleBatch", "local_batch_size: 1", "local_batch_size: 3",
     "train.global_batch_size=4 (must be a multiple of local_batch_size=3 x 1 data ranks = 3)"},
    {"ZeroBatch", "global_batch_size: 4", "global_batch_size: 0",
     "train.global_batch_size=0 (must be a multiple of "},
    {"DataBeyondTheVocabulary", "vocab_size: 64}", "vocab_size: 65}",
     "the data has token ids up to 64 (the model's vocab_size is 64). Set model.vocab_size, or"},
    {"HeadsThatDoNotDivide", "heads: 2", "heads: 5", "dim=32 is no multiple of heads=5"},
    {"MoreChoicesThanExperts", "experts: 4", "experts: 4, top_k: 5", "top_k=5"},
};

INSTANTIATE_TEST_SUITE_P(All, BadJob, ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

class BadJobFile : public JobTest {};

TEST_F(BadJobFile, NearestNamesAreOffered) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"model.preset=debugmodl", "Did you mean 'debugmodel'?"},
      {"model.plugin=llama", "Did you mean 'llama4'?"},
      {"device=hots", "Did you mean 'host'?"},
      {"data.source=synthetc", "Did you mean 'synthetic'?"},
      {"optimizer.name=adamww", "Did you mean 'adamw'?"},
      {"parallel.schedule=1f1bb", "Did you mean '1f1b'?"},
      {"model.layers.x=2", "cannot set 'x' inside model.layers (it is not a map"},
      {"checkpoint.export=hf",
       "checkpoint.export=hf (a format without the type of its weights). {format: hf, "},
      {"checkpoint.export={format: hdf5, dtype: bf16}", "checkpoint.export=fp32 or bf16, which is hdf5?"},
      {"trian.steps=2", "command line: unknown key 'trian'"},
      {"train.steps", "has no '='. Write key.key=value?"}};
  const std::string mini = job(kMiniJob);
  for (const auto& [change, message] : cases) {
    const Outcome outcome = run(train(mini, "run", 0, {change}));
    EXPECT_TRUE(ended_with(outcome, 2)) << change;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(BadJobFile, FilesThatAreNoJobsAreRefusedAtOnce) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {file("nowhere.yaml"), "cannot open " + file("nowhere.yaml") + " (No such file or directory)"},
      {folder_.path(), folder_.path() + " is not a regular file (it is a folder)"},
      {"/dev/zero", "/dev/zero is not a regular file (it is a character device)"},
      {job("model: " + std::string(20'000, '[')), "job.yaml:1: "},
      {job("a: " + std::string(20'000, '{'), "deep.yaml"), "deep.yaml:1: "},
      {job(std::string(1 << 21, 'x'), "long.yaml"), "long.yaml has 2097152 bytes (at most 1048576 are read)"},
      {job("name: \xff\xfe\n", "latin.yaml"), "latin.yaml: the text is not UTF-8"},
      {job("", "empty.yaml"), "empty.yaml: key 'model' is missing"}};
  for (const auto& [path, message] : cases) {
    const Outcome outcome = run(train(path, "run", 0));
    EXPECT_TRUE(ended_with(outcome, 2)) << path;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << path;
    EXPECT_EQ(outcome.errors(), 1);
    EXPECT_LT(outcome.seconds, 10);
  }
}

TEST_F(BadJobFile, WhatEveryRankFindsIsSaidOnceByRankZero) {
  const Outcome outcome = run(train(job(kMiniJob), "run", 2, {"train.local_batch_size=3"}));

  ASSERT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.last_line(), HasSubstr("error [rank 0] train.global_batch_size=4 (must be a multiple "
                                             "of local_batch_size=3 x 2 data ranks"));
  EXPECT_EQ(outcome.errors(), 1);
}

}  // namespace
}  // namespace caravan::test

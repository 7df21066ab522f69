#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"

// Files of tokens and weights that are missing, damaged, hostile or of something else.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

/// Eight bytes of length, the header, the data.
std::string safetensors(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + std::string(data_bytes, '\0');
}

class BadData : public JobTest {
 protected:
  std::string batches_job() const {
    std::string yaml = kMiniJob;
    const std::string from = "{source: synthetic, vocab_size: 64}";
    return yaml.replace(yaml.find(from), from.size(),
                        "{source: safetensors, path: " + file("batches.safetensors") + "}");
  }
  /// Expects the job over batches.safetensors to end with `code` and one message.
  void expect_refused(int code, const std::string& message, int ranks = 0) const {
    const Outcome outcome = run(train(job(batches_job()), "run", ranks));
    EXPECT_TRUE(ended_with(outcome, code));
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(outcome.errors(), 1) << "one message a cause\n" << outcome.err;
  }
  Batches batches_{40, 16, 64};
};

TEST_F(BadData, FilesOfColumnsAreRefusedWithTheRemedy) {
  for (const char* name : {"texts.parquet", "texts.arrow", "texts.feather"}) {
    std::ofstream(file(name)) << "PAR1 or so";
    const Outcome outcome = caravan(
        {"tokenizer", "train", "--input", file(name), "--vocab-size", "300", "--output", file("t.json")});
    EXPECT_TRUE(ended_with(outcome, 3)) << name;
    EXPECT_THAT(outcome.err, HasSubstr("a file of columns, ." + std::string(name).substr(6)));
    EXPECT_THAT(outcome.err, HasSubstr("JSON lines with pyarrow"));
  }
}

/// The program of docs/data.md, where pyarrow is installed.
TEST_F(BadData, ParquetBecomesJsonLinesAsThePageSays) {
  const auto python = [&](std::vector<std::string> arguments) {
    return run({std::move(arguments), 0, {}, 60, "/usr/bin/env"});
  };
  if (python({"python3", "-c", "import pyarrow.parquet"}).code != 0)
    GTEST_SKIP() << "python3 has no pyarrow here";
  std::ifstream page(CARAVAN_SOURCE_DOCS "/data.md");
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  const std::string fence = "```python\n";
  const std::size_t begin = text.find(fence, text.find("<!-- parquet.py -->")) + fence.size();
  std::ofstream(file("parquet.py")) << text.substr(begin, text.find("```", begin) - begin);
  const std::string made = file("texts.parquet");
  ASSERT_EQ(python({"python3", "-c",
                    "import pyarrow as a, pyarrow.parquet as p, sys\n"
                    "p.write_table(a.table({'id': [1, 2], 'text': ['one', 'zwei \\u00e4']}), sys.argv[1])",
                    made})
                .code,
            0);
  const Outcome lines = python({"python3", file("parquet.py"), made});
  EXPECT_EQ(lines.out, "{\"text\": \"one\"}\n{\"text\": \"zwei \\u00e4\"}\n");
  std::ofstream(file("texts.jsonl")) << lines.out;
  const Outcome seen = caravan({"data", "inspect", file("texts.jsonl")});
  EXPECT_TRUE(ended_with(seen, 0)) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("zwei \u00e4"));
}

TEST_F(BadData, MissingFile) {
  expect_refused(3, "cannot open " + file("batches.safetensors") + " (No such file or directory)", 2);
}

TEST_F(BadData, IdsOutsideTheVocabulary) {
  batches_.tokens[100] = 64;
  batches_.write(file("batches.safetensors"));
  expect_refused(2, "the data has token ids up to 64 (the model's vocab_size is 64)");
  batches_.tokens[100] = -7;
  batches_.write(file("batches.safetensors"));
  expect_refused(3, "tensor tokens holds -7 (token ids are not negative)");
  batches_.tokens[100] = std::int64_t{1} << 40;
  batches_.write(file("batches.safetensors"));
  expect_refused(3, "tensor tokens holds 1099511627776 (token ids");
}

TEST_F(BadData, LabelsOutsideTheVocabulary) {
  batches_.labels[5] = 64;
  batches_.write(file("batches.safetensors"));
  expect_refused(2, "the data has token ids up to 64 (the model's vocab_size is 64)");
  batches_.labels[5] = -1;
  batches_.write(file("batches.safetensors"));
  expect_refused(3, "tensor labels holds -1");
}

TEST_F(BadData, RowsOfAnotherLength) {
  Batches(40, 20, 64).write(file("batches.safetensors"));
  expect_refused(2, "rows of 20 tokens with labels (sequence_length=16 needs 17). Set sequence_length=19?");
}

TEST_F(BadData, TooFewRowsAreRefusedBeforeTheFirstStep) {
  Batches(6, 16, 64).write(file("batches.safetensors"));
  const std::string message =
      "train.steps=6 with 4 sequences a step need 24 samples (the data has 6 and does not repeat them)";
  expect_refused(2, message);
  EXPECT_THAT(run(train(job(batches_job()), "run", 0, {"--dry-run"})).err, HasSubstr(message));
  EXPECT_TRUE(ended_with(run(train(job(batches_job()), "run", 2, {"data.wrap=true"})), 0));
}

TEST_F(BadData, LabelsThatAreTheTokensThemselvesAreSaid) {
  batches_.labels = batches_.tokens;
  batches_.write(file("batches.safetensors"));
  const Outcome outcome = run(train(job(batches_job()), "run", 0));
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("640 of 640 labels are the token itself (labels[t] must be what follows"));
}

TEST_F(BadData, APassOfValidationReadsNoRowBeyondTheLastAndNeedsOne) {
  Batches(41, 16, 64).write(file("batches.safetensors"));
  Batches(5, 16, 64).write(file("held_out.safetensors"));
  const std::string data =
      "validation={every: 3, data: {source: safetensors, path: " + file("held_out.safetensors");
  const Outcome pass = run(train(job(batches_job()), "run", 2, {data + "}}"}));
  EXPECT_TRUE(ended_with(pass, 0));
  EXPECT_THAT(pass.err,
              HasSubstr("validation: one pass, 5 micro-batches of 1 sequence of 16 tokens (5 of 5 samples)"));
  const Outcome large =
      run(train(job(batches_job()), "large", 0,
                {data + "}}", "train.local_batch_size=8", "train.global_batch_size=8", "train.steps=3"}));
  EXPECT_TRUE(ended_with(large, 2));
  EXPECT_THAT(large.err,
              HasSubstr("the validation data has 5 samples (a micro-batch of train.local_batch_size=8"));
  const Outcome endless = run(train(job(kMiniJob), "endless", 0, {"validation.every=3"}));
  EXPECT_TRUE(ended_with(endless, 2));
  EXPECT_THAT(endless.err, HasSubstr("data without end does not have. Set validation.batches?"));
}

TEST_F(BadData, AStepWithoutAnyLabel) {
  std::fill(batches_.labels.begin(), batches_.labels.begin() + 4 * 16, -100);
  batches_.write(file("batches.safetensors"));
  expect_refused(2, "step 1: every label is ignored (there is nothing to learn)");
}

TEST_F(BadData, DamagedAndHostileSafetensors) {
  const std::string one = R"({"tokens":{"dtype":"I64","shape":[1,17],"data_offsets":[0,136]}})";
  const std::string overlap = R"({"tokens":{"dtype":"I64","shape":[1,17],"data_offsets":[0,136]},)"
                              R"("labels":{"dtype":"I64","shape":[1,16],"data_offsets":[8,136]}})";
  const std::string twice = R"({"tokens":{"dtype":"I64","shape":[1,17],"data_offsets":[0,136]},)"
                            R"("tokens":{"dtype":"I64","shape":[1,17],"data_offsets":[0,136]}})";
  const std::string overflow =
      R"({"tokens":{"dtype":"I64","shape":[4294967296,4294967296],"data_offsets":[0,136]}})";
  const std::string floats = R"({"tokens":{"dtype":"F64","shape":[1,17],"data_offsets":[0,136]}})";
  std::string huge = safetensors(one, 136);
  huge[7] = '\x7f';
  const std::vector<std::pair<std::string, std::string>> cases{
      {safetensors(one, 100), "ends at byte 136 of the data (the file has 100: truncated?)"},
      {safetensors(one, 136).substr(0, 30), "truncated?"},
      {"abc", "has 3 bytes (a safetensors file has at least 8"},
      {huge, "claims a header of "},
      {safetensors(overlap, 136), "tensor 'labels' begins at byte 8 inside the tensor before it"},
      {safetensors(twice, 136), "tokens"},
      {safetensors(overflow, 136), "its size overflows 64 bits"},
      {safetensors(floats, 136), "cannot be read as whole numbers"},
      {safetensors("{" + std::string(5000, '['), 0), "the header of "},
      {safetensors(R"({"other":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8), "tokens"}};
  for (const auto& [bytes, message] : cases) {
    spill(file("batches.safetensors"), bytes);
    expect_refused(3, message);
  }
}

TEST_F(BadData, InitialWeightsThatDoNotFit) {
  spill(file("text"), "no model");
  Batches(4, 16, 64).write(file("tokens.safetensors"));
  const std::vector<std::pair<std::string, std::string>> cases{
      {file("nowhere"), "nowhere does not exist"},
      {file("text"), "text is no model (a file must end in .safetensors or .h5)"},
      {folder_.path(),
       " is no model (neither a Hugging Face folder with config.json, nor one of Meta's with "
       "consolidated.00.pth, nor a checkpoint"},
      {file("tokens.safetensors"), "tokens.safetensors"}};
  for (const auto& [path, message] : cases) {
    const Outcome outcome = run(train(job(kMiniJob), "run", 0, {"checkpoint.initial_load=" + path}));
    EXPECT_TRUE(ended_with(outcome, 3)) << path;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

}  // namespace
}  // namespace caravan::test

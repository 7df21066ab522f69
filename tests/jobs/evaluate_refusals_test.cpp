#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "io/data/shard_writer.hpp"
#include "tests/jobs/convert_test.hpp"
#include "tests/jobs/validated_run.hpp"
#include "tests/text/reference.hpp"

// What `caravan evaluate` refuses, and in which words.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

using Arguments = std::vector<std::string>;

class EvaluateRefusals : public ConvertTest {
 protected:
  Outcome evaluate(const std::string& model, const Arguments& more, int ranks = 0) const {
    Arguments arguments{"evaluate", "--model", model, "--device", "host"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run({arguments, ranks, {}, 60});
  }
  void expect_refused(const Outcome& outcome, int code, const std::string& why) const {
    EXPECT_TRUE(ended_with(outcome, code)) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_EQ(outcome.out, "");
  }
  void expect_refused(const Arguments& more, int code, const std::string& why) const {
    expect_refused(evaluate(ValidatedRun::get().run(), more), code, why);
  }
  /// Shards of one document of so many tokens.
  std::string shards(std::int64_t vocab, std::int64_t tokens, const std::string& sha256 = "") const {
    io::ShardWriter writer(file("made"), {vocab, "none", sha256}, 1 << 20);
    writer.add_document(std::vector<std::int32_t>(static_cast<std::size_t>(tokens), 1));
    writer.finish();
    return file("made");
  }
};

TEST_F(EvaluateRefusals, WhatIsNotThere) {
  const ValidatedRun& made = ValidatedRun::get();
  expect_refused(evaluate(file("nowhere"), {"--data", made.text()}), 3, file("nowhere") + " does not exist");
  expect_refused({"--data", file("nowhere")}, 3, file("nowhere"));
  expect_refused({"--data", made.text(), "--tokenizer", file("nowhere")}, 3, file("nowhere"));
  EXPECT_TRUE(ended_with(caravan({"evaluate", "--model", made.run()}), 2));
  EXPECT_THAT(caravan({"evaluate", "--model", made.run()}).err, HasSubstr("--data is required"));
}

TEST_F(EvaluateRefusals, EmptyAndShortData) {
  spill(file("empty"), "");
  spill(file("short"), "And God");
  spill(file("one"), "A");
  expect_refused({"--data", file("empty")}, 3, file("empty"));
  expect_refused({"--data", file("short")}, 2, "one sample needs sequence_length + 1 = 33");
  expect_refused({"--data", file("one"), "--per-document"}, 3,
                 "1 document with 1 token in all (a token is predicted from one before it in its document)");
}

TEST_F(EvaluateRefusals, AnotherTokenizerThanTheModels) {
  const ValidatedRun& made = ValidatedRun::get();
  spill(file("tokenizer.json"), slurp(made.tokenizer()) + " ");
  expect_refused({"--data", made.text(), "--tokenizer", file("tokenizer.json")}, 3,
                 "(the model was trained with sha256:");
  expect_refused(
      {"--data", shards(300, 100, std::string(64, 'a'))}, 3,
      "were made with the tokenizer sha256:" + std::string(64, 'a') + " (the model was trained with sha256:");
}

TEST_F(EvaluateRefusals, SequencesLongerThanTheModelWasMadeFor) {
  expect_refused({"--data", ValidatedRun::get().shards(), "--sequence-length", "33"}, 2,
                 "was made for 32 positions). --sequence-length 32?");
  CARAVAN_NEED_REFERENCE(scout, "tiny_scout");
  expect_refused(evaluate(scout, {"--data", shards(512, 100), "--sequence-length", "4097"}), 2,
                 "tiny_scout was made for 4096 positions");
}

TEST_F(EvaluateRefusals, TokensThatTheModelDoesNotHave) {
  CARAVAN_NEED_REFERENCE(scout, "tiny_scout");
  expect_refused(evaluate(scout, {"--data", shards(513, 100), "--sequence-length", "16"}), 2,
                 "has token ids up to 512 (the model's vocab_size is 512)");
}

TEST_F(EvaluateRefusals, TextWithoutATokenizer) {
  CARAVAN_NEED_REFERENCE(scout, "tiny_scout");
  expect_refused(evaluate(scout, {"--data", ValidatedRun::get().text()}), 2,
                 "tiny_scout names no tokenizer (text is read with one). Give --tokenizer FILE?");
}

TEST_F(EvaluateRefusals, OptionsThatWouldHaveNoEffect) {
  const ValidatedRun& made = ValidatedRun::get();
  for (const Arguments& option : {Arguments{"--bos"}, {"--field", "x"}, {"--format", "text"}}) {
    Arguments more{"--data", made.shards()};
    more.insert(more.end(), option.begin(), option.end());
    expect_refused(more, 2, option[0] + " with token shards");
  }
  for (const Arguments& option : {Arguments{"--batch", "2"}, {"--sequences", "2"}, {"--document-mask"}}) {
    Arguments more{"--data", made.shards(), "--per-document"};
    more.insert(more.end(), option.begin(), option.end());
    expect_refused(more, 2, option[0] + " with --per-document");
  }
  expect_refused({"--data", made.shards(), "--split", "validation"}, 2,
                 "--split validation with --validation-fraction 0 (nothing is held out)");
  expect_refused({"--data", made.shards(), "--validation-fraction", "0.1"}, 2,
                 "--split all with --validation-fraction 0.1 (all of the tokens are read)");
  expect_refused({"--data", made.shards(), made.text()}, 2,
                 "and 1 more (a folder of token shards is read "
                 "alone)");
}

TEST_F(EvaluateRefusals, LayoutsThatDoNotDivide) {
  const ValidatedRun& made = ValidatedRun::get();
  const Arguments data{"--data", made.shards()};
  const auto on_two = [&](const Arguments& layout) {
    Arguments more = data;
    more.insert(more.end(), layout.begin(), layout.end());
    return evaluate(made.run(), more, 2);
  };
  expect_refused(on_two({"--tensor", "3"}), 2, "3");
  expect_refused(evaluate(made.run(), {"--data", "-"}, 2), 2, "--data - on 2 ranks");
  EXPECT_TRUE(ended_with(evaluate(made.run(), {"--data", made.shards(), "--pipeline", "5"}, 5), 2));
}

TEST_F(EvaluateRefusals, ALossThatIsNoNumber) {
  CARAVAN_NEED_REFERENCE(scout, "tiny_scout");
  const std::string folder = take(scout);
  StoredTensors tensors = tensors_of(folder);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(tensors.at("model.norm.weight").bytes.data(), &nan, sizeof nan);
  std::filesystem::remove(folder + "/model.safetensors");
  write_tensors(folder + "/model.safetensors", tensors);
  expect_refused(evaluate(folder, {"--data", shards(512, 100), "--sequence-length", "16"}), 16,
                 "not finite). Are the weights finite?");
}

}  // namespace
}  // namespace caravan::test

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/io/temporary_folder.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// The program itself, as a user starts it.
class Commands : public testing::Test {
 protected:
  void SetUp() override {
    const char* binary = std::getenv("CARAVAN_BINARY");
    if (!binary) GTEST_SKIP() << "no CARAVAN_BINARY";
    binary_ = binary;
  }
  Outcome run(const std::string& arguments) const {
    const std::string line =
        "'" + binary_ + "' " + arguments + " > " + folder_.file("out") + " 2> " + folder_.file("err");
    const int status = std::system(line.c_str());
    return {WEXITSTATUS(status), test::slurp(folder_.file("out")), test::slurp(folder_.file("err"))};
  }
  std::string learned_tokenizer() {
    std::string text;
    for (int i = 0; i < 50; ++i)
      text += "In the beginning God created the heaven and the earth.\n\nAnd the earth was void.\n\n";
    test::spill(folder_.file("text"), text);
    EXPECT_EQ(run("tokenizer train --input " + folder_.file("text") + " --vocab-size 280 --output " +
                  folder_.file("t.json"))
                  .code,
              0);
    return folder_.file("t.json");
  }

  test::TemporaryFolder folder_;
  std::string binary_;
};

TEST_F(Commands, EncodeJsonLinesEqualsTheReference) {
  CARAVAN_NEED_REFERENCE(file, "tokenizers/titan.tokenizer.json");
  CARAVAN_NEED_REFERENCE(texts, "tokenizers/titan_tokenizer_json.jsonl");
  std::string in, expected;
  for (const auto& line : test::read_json_lines(texts)) {
    in += line["text"].dump() + "\n";
    expected += line["ids"].dump() + "\n";
  }
  test::spill(folder_.file("in"), in);

  const Outcome outcome =
      run("tokenizer encode --json-lines --tokenizer " + file + " < " + folder_.file("in"));

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, expected);
}

TEST_F(Commands, TrainedTokenizerEncodesAndDecodes) {
  const std::string tokenizer = " --tokenizer " + learned_tokenizer();
  const Outcome ids = run("tokenizer encode 'the <|end_of_text|>' --bos" + tokenizer);
  const Outcome special = run("tokenizer encode '<|end_of_text|>' --special --eos" + tokenizer);

  EXPECT_THAT(ids.out, StartsWith("278 "));
  EXPECT_EQ(special.out, "279 279\n");
  test::spill(folder_.file("ids"), ids.out);
  EXPECT_EQ(run("tokenizer decode" + tokenizer + " < " + folder_.file("ids")).out,
            "<|begin_of_text|>the <|end_of_text|>");
  test::spill(folder_.file("ids"), "[116,104]\n[]\n");
  EXPECT_EQ(run("tokenizer decode --json-lines" + tokenizer + " < " + folder_.file("ids")).out,
            "\"th\"\n\"\"\n");
}

TEST_F(Commands, PrepareWritesShardsAndSaysWhatIsInThem) {
  const std::string common =
      "data prepare --tokenizer " + learned_tokenizer() + " --input " + folder_.file("text") + " --output ";
  const Outcome outcome =
      run(common + folder_.file("d") + " --document-separator blank-line --bos --eos --json");

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto facts = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(facts["documents"], 100);
  EXPECT_EQ(facts["vocab_size"], 280);
  EXPECT_EQ(facts["train_tokens"].get<int>() + facts["validation_tokens"].get<int>(),
            facts["tokens"].get<int>());
  EXPECT_GT(facts["train_unigram_entropy_nats"].get<double>(), 1.0);
  EXPECT_EQ(test::slurp(folder_.file("d/tokenizer.json")), test::slurp(folder_.file("t.json")));
  const Outcome again = run(common + folder_.file("d"));
  EXPECT_EQ(again.code, 3);
  EXPECT_THAT(again.err, HasSubstr("holds token shards already"));
}

TEST_F(Commands, PrepareAndTrainReadTheSameTextHoweverItComes) {
  const std::string tokenizer = learned_tokenizer(), text = test::slurp(folder_.file("text"));
  std::filesystem::create_directories(folder_.file("texts/more"));
  test::spill(folder_.file("texts/1"), text.substr(0, 810));  // twenty documents
  test::spill(folder_.file("texts/more/2.txt"), text.substr(810));
  test::spill(folder_.file("list"), folder_.file("texts") + "\n");
  ASSERT_EQ(std::system(("gzip -k " + folder_.file("text")).c_str()), 0);
  const auto identity_of = [&](const std::string& input, const std::string& name) {
    const Outcome outcome = run("data prepare --document-separator line --tokenizer " + tokenizer +
                                " --output " + folder_.file(name) + " --input " + input);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const auto manifest = nlohmann::json::parse(test::slurp(folder_.file(name + "/tokens-manifest.json")));
    return manifest["manifest"]["identity"].get<std::string>();
  };
  const std::string plain = identity_of(folder_.file("text"), "d1");
  EXPECT_EQ(identity_of(folder_.file("text.gz"), "d2"), plain);
  EXPECT_EQ(identity_of("- < " + folder_.file("text.gz"), "d3"), plain);
  EXPECT_EQ(identity_of(folder_.file("texts"), "d4"), plain);
  EXPECT_EQ(identity_of("@" + folder_.file("list"), "d5"), plain);
  const std::string learn =
      "tokenizer train --vocab-size 280 --output " + folder_.file("t2.json") + " --input ";
  EXPECT_EQ(run(learn + "- < " + folder_.file("text.gz")).code, 0);
  EXPECT_EQ(test::slurp(folder_.file("t2.json")), test::slurp(tokenizer));
}

TEST_F(Commands, WhatIsNoTextIsRefusedAndNothingIsLeft) {
  const std::string tokenizer = learned_tokenizer();
  test::spill(folder_.file("utf16"), std::string("\xFF\xFE"
                                                 "a\0b\0",
                                                 6));
  const std::string prepare =
      "data prepare --tokenizer " + tokenizer + " --output " + folder_.file("d") + " --input ";
  const Outcome utf16 = run(prepare + folder_.file("utf16")), program = run(prepare + binary_);
  EXPECT_EQ(utf16.code, 3);
  EXPECT_THAT(utf16.err,
              HasSubstr("utf16: byte 0 is 0xFF, no UTF-8 (text in UTF-8 is read; this looks like UTF-16)"));
  EXPECT_EQ(program.code, 3);
  EXPECT_THAT(program.err, HasSubstr("an executable (ELF)"));
  EXPECT_EQ(
      run("tokenizer train --vocab-size 280 --output " + folder_.file("x.json") + " --input " + binary_).code,
      3);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    EXPECT_FALSE(entry.path().filename().string().starts_with("d")) << entry.path();
  EXPECT_EQ(run(prepare + folder_.file("utf16") + " --binary").code, 0);
}

TEST_F(Commands, WrongUseExitsWithTwoAndBadInputWithThree) {
  EXPECT_EQ(run("tokenizer").code, 2);
  EXPECT_EQ(run("tokenizer train --input x --vocab-size 100 --output y").code, 2);
  EXPECT_EQ(run("data prepare --input x").code, 2);
  EXPECT_EQ(run("tokenizer encode --tokenizer /nowhere x").code, 3);
  test::spill(folder_.file("in"), "\"fine\"\n{\"not\":\"a string\"}\n");
  const Outcome outcome =
      run("tokenizer encode --json-lines --tokenizer " + learned_tokenizer() + " < " + folder_.file("in"));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("standard input:2: "));
}

TEST_F(Commands, OutputThatCannotBeWrittenIsAnError) {
  const std::string tokenizer = learned_tokenizer();
  const std::string line = "'" + binary_ + "' tokenizer encode x --tokenizer " + tokenizer +
                           " > /dev/full 2> " + folder_.file("err");

  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 3);
  EXPECT_THAT(test::slurp(folder_.file("err")),
              HasSubstr("cannot write to standard output (No space left on device)"));
}

}  // namespace
}  // namespace caravan

#include <gmock/gmock.h>

#include "jobs/inspect/document_lengths.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"

// What data inspect shows of token shards and of texts, and jobs over JSON lines by their field.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class DataInspect : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    std::string text, lines;
    for (int day = 0; day < 40; ++day) {
      const std::string document = "The day " + std::string(static_cast<std::size_t>(day), 'y') + " ended";
      text += document + "\n";
      lines += R"({"title": "no", "body": ")" + document + "\"}\n";
    }
    spill(file("text"), text);
    spill(file("lines.jsonl"), lines);
    ASSERT_TRUE(ended_with(caravan({"tokenizer", "train", "--input", file("text"), "--vocab-size", "262",
                                    "--output", file("tokenizer.json")}),
                           0));
    ASSERT_TRUE(ended_with(caravan({"data", "prepare", "--input", file("lines.jsonl"), "--field", "body",
                                    "--tokenizer", file("tokenizer.json"), "--output", file("shards")}),
                           0));
  }
  nlohmann::json inspected(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"data", "inspect"});
    arguments.emplace_back("--json");
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 0));
    return nlohmann::json::parse(outcome.out);
  }
  std::string refused(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"data", "inspect"});
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 2));
    return outcome.err;
  }
};

TEST_F(DataInspect, OfShardsAndOfTheTextThatTheyWereMadeOfIsTheSame) {
  const auto shards = inspected({file("shards"), "--documents", "40", "--decode"}),
             text = inspected({file("lines.jsonl"), "--field", "body", "--documents", "40", "--decode",
                               "--tokenizer", file("tokenizer.json")});
  EXPECT_EQ(shards["documents"], 40);
  for (const char* key : {"documents", "tokens", "lengths", "shown"})
    EXPECT_EQ(shards[key], text[key]) << key;
  EXPECT_EQ(shards["shown"].size(), 40u);
  EXPECT_EQ(shards["shown"][3]["text"], "The day yyy ended");
  EXPECT_EQ(shards["shown"][3]["ids"].size(), shards["shown"][3]["tokens"].get<std::size_t>());
  EXPECT_EQ(shards["lengths"]["unit"], "token");
  EXPECT_EQ(shards["bytes"], nullptr);
  EXPECT_GT(text["bytes"], 40 * 14);
}

TEST_F(DataInspect, OfTextCountsBytesWithoutATokenizer) {
  const auto found = inspected({file("text"), "--document-separator", "line", "--documents", "1"});
  EXPECT_EQ(found["documents"], 40);
  EXPECT_EQ(found["tokens"], nullptr);
  const auto& lengths = found["lengths"];
  EXPECT_EQ(lengths["unit"], "byte");
  EXPECT_EQ(lengths["longest"].get<int>() - lengths["shortest"].get<int>(), 39);
  EXPECT_EQ(lengths["longest_document"], 39);
  EXPECT_EQ(found["shown"].size(), 1u);
  EXPECT_THAT(found["shown"][0]["text"].get<std::string>(), HasSubstr("The day  ended"));
}

TEST_F(DataInspect, IsReadByPeople) {
  const Outcome ids = caravan({"data", "inspect", file("shards"), "--documents", "2"}),
                text = caravan({"data", "inspect", file("shards"), "--documents", "2", "--decode"});
  ASSERT_TRUE(ended_with(ids, 0));
  ASSERT_TRUE(ended_with(text, 0));
  for (const std::string& out : {ids.out, text.out}) {
    EXPECT_THAT(out, HasSubstr(" tokens in 40 documents, made with "));
    EXPECT_THAT(out, HasSubstr("  a document: median "));
    EXPECT_THAT(out, HasSubstr("\ndocument 1: "));
    EXPECT_THAT(out, ::testing::Not(HasSubstr("document 2: ")));
  }
  EXPECT_THAT(text.out, HasSubstr("\nThe day y ended\n"));
  EXPECT_THAT(ids.out, ::testing::Not(HasSubstr("The day y ended")));
}

TEST_F(DataInspect, ShowsTheFrontOfALongDocument) {
  std::string text;
  for (int at = 0; at < 6000; ++at) text += "\xC3\xA9";
  spill(file("long"), text);
  const auto shown = inspected({file("long")})["shown"][0];
  EXPECT_EQ(shown["bytes"], 12'000);
  EXPECT_EQ(shown["is_cut"], true);
  EXPECT_EQ(shown["text"], text.substr(0, 8192));
}

TEST_F(DataInspect, RefusesWhatItWouldNotLookAt) {
  EXPECT_THAT(refused({file("text"), "--decode"}), HasSubstr("--decode of texts without --tokenizer"));
  EXPECT_THAT(refused({file("shards"), "--field", "body"}), HasSubstr("are about texts"));
  EXPECT_THAT(refused({file("shards"), "--tokenizer", file("tokenizer.json")}),
              HasSubstr("--tokenizer without --decode"));
  std::filesystem::remove(file("shards/tokenizer.json"));
  EXPECT_THAT(refused({file("shards"), "--decode"}), HasSubstr("no tokenizer lies beside them"));
  spill(file("other.json"), slurp(file("tokenizer.json")) + "\n");
  EXPECT_THAT(refused({file("shards"), "--decode", "--tokenizer", file("other.json")}),
              HasSubstr("The tokenizer of the data?"));
  EXPECT_TRUE(ended_with(caravan({"data", "inspect", file("nowhere")}), 3));
  EXPECT_TRUE(ended_with(caravan({"data", "inspect", file("lines.jsonl")}), 3)) << "without the field text";
}

TEST_F(DataInspect, AJobReadsJsonLinesByTheirField) {
  const std::string yaml = std::string(R"(device: host
model: {vocab_size: 262, dim: 32, layers: 1, heads: 2, width_multiple_of: 32}
train: {steps: 3, sequence_length: 8, global_batch_size: 4, lr: 1e-3, warmup_steps: 1}
checkpoint: {enabled: false}
data: )");
  const std::string lines = "{source: text, path: [" + file("lines.jsonl") +
                            "], format: jsonl, tokenizer: " + file("tokenizer.json"),
                    shards = "{source: tokens, path: " + file("shards") + "}";
  ASSERT_TRUE(ended_with(run(train(job(yaml + lines + ", field: body}", "lines.yaml"), "lines", 2)), 0));
  ASSERT_TRUE(ended_with(run(train(job(yaml + shards, "shards.yaml"), "shards-run", 2)), 0));
  EXPECT_EQ(results_of(file("lines")), results_of(file("shards-run")));
  EXPECT_GT(results_of(file("lines")).at(2).at("data_passes"), 0);
  const Outcome refused = run(train(job(yaml + lines + "}"), "refused", 0));
  EXPECT_TRUE(ended_with(refused, 3));
  EXPECT_THAT(refused.err, HasSubstr("lines.jsonl:1: "));
  EXPECT_THAT(refused.err, HasSubstr("whose field 'text' is a string"));
}

TEST(DocumentLengths, PercentilesAreThoseOfTheNearestRank) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t length = 200; length > 0; --length) lengths.push_back(length);
  const jobs::DocumentLengths found = jobs::summarise(lengths);
  EXPECT_THAT(found.percentiles, ::testing::ElementsAre(2, 10, 50, 100, 150, 190, 198));
  EXPECT_EQ(found.total, 20'100);
  EXPECT_EQ(found.longest_document, 0);
  EXPECT_THAT(jobs::summarise({7}).percentiles, ::testing::Each(7));
  EXPECT_EQ(jobs::summarise({}).describe("token"), "  no documents\n");
}

}  // namespace
}  // namespace caravan::test

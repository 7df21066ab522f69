#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "io/data/shard_writer.hpp"
#include "io/safetensors/reader.hpp"
#include "io/text/load_tokenizer.hpp"
#include "tests/jobs/validated_run.hpp"
#include "tests/text/reference.hpp"

// `caravan evaluate` against the validation of training and against transformers.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

using Arguments = std::vector<std::string>;

class Evaluate : public JobTest {
 protected:
  Outcome evaluate(const std::string& model, const Arguments& more, int ranks = 0) const {
    Arguments arguments{"evaluate", "--model", model, "--device", "host"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run({arguments, ranks, {}, 60});
  }
  nlohmann::json figures(const std::string& model, Arguments more, int ranks = 0) const {
    more.push_back("--json");
    const Outcome outcome = evaluate(model, more, ranks);
    EXPECT_TRUE(ended_with(outcome, 0)) << ::testing::PrintToString(more);
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  /// Of the run that validated.
  nlohmann::json of_run(const Arguments& more, int ranks = 0) const {
    return figures(ValidatedRun::get().run(), more, ranks);
  }
  /// Data as the run validates.
  static Arguments validation(const Arguments& more = {}) {
    Arguments arguments{"--data",     ValidatedRun::get().shards(), "--split",
                        "validation", "--validation-fraction",      "0.2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(Evaluate, IsTheValidationLossOfTraining) {
  const double wanted = ValidatedRun::get().validation_loss();

  const nlohmann::json found = of_run(validation());

  EXPECT_NEAR(found["loss"], wanted, 1e-6 * wanted);
  EXPECT_NEAR(found["perplexity"], std::exp(wanted), 1e-5 * std::exp(wanted));
  EXPECT_EQ(found["sequence_length"], 32);
  EXPECT_EQ(found["tokens"], found["sequences"].get<int>() * 32);
  EXPECT_LT(found["tokens_left_out"], 33);
}

TEST_F(Evaluate, EveryLayoutAndBatchMeasuresTheSame) {
  const double wanted = ValidatedRun::get().validation_loss();
  const std::vector<std::pair<int, Arguments>> layouts{{0, {"--batch", "5"}},
                                                       {3, {}},
                                                       {2, {"--tensor", "2", "--batch", "2"}},
                                                       {2, {"--expert", "2"}},
                                                       {3, {"--context", "3"}},
                                                       {2, {"--pipeline", "2", "--batch", "3"}},
                                                       {4, {"--pipeline", "2", "--expert", "2"}}};
  const std::int64_t tokens = of_run(validation())["tokens"];
  for (const auto& [ranks, options] : layouts) {
    const nlohmann::json found = of_run(validation(options), ranks);
    EXPECT_NEAR(found["loss"], wanted, 1e-5 * wanted) << ::testing::PrintToString(options);
    EXPECT_EQ(found["tokens"], tokens) << ::testing::PrintToString(options);
  }
}

TEST_F(Evaluate, TextAndItsShardsAreTheSame) {
  const ValidatedRun& made = ValidatedRun::get();
  const nlohmann::json shards = of_run({"--data", made.shards()});

  const nlohmann::json text = of_run({"--data", made.text(), "--document-separator", "blank-line"});

  for (const char* key : {"loss", "tokens", "sequences", "bytes", "bits_per_byte", "tokens_left_out"})
    EXPECT_EQ(text[key], shards[key]) << key;
  EXPECT_GT(text["bytes"], 1000);
}

TEST_F(Evaluate, JsonLinesAreTheDocumentsThatTheyHold) {
  const ValidatedRun& made = ValidatedRun::get();
  spill(file("a.jsonl"), "{\"text\": \"And God saw that it was good.\"}\n{\"text\": \"And God\"}\n");
  spill(file("a.txt"), "And God saw that it was good.\nAnd God\n");
  const Arguments more{"--per-document", "--sequence-length", "16"};
  Arguments lines{"--data", file("a.jsonl")}, text{"--data", file("a.txt"), "--document-separator", "line"};
  lines.insert(lines.end(), more.begin(), more.end());
  text.insert(text.end(), more.begin(), more.end());

  const nlohmann::json found = figures(made.run(), lines);

  ASSERT_EQ(found["documents"].size(), 2u);
  EXPECT_EQ(found["documents"], figures(made.run(), text)["documents"]);
}

/// Bytes are those of a document without its first token, which nothing predicts.
TEST_F(Evaluate, DocumentsAreMeasuredByThemselves) {
  const ValidatedRun& made = ValidatedRun::get();
  const std::vector<std::string> texts{"And God saw that it was good.", "And the evening and the morning",
                                       "good"};
  const auto tokenizer = io::load_tokenizer(made.tokenizer());
  std::string all;
  for (const std::string& text : texts) all += text + "\n";
  spill(file("all"), all);

  const nlohmann::json found =
      of_run({"--data", file("all"), "--document-separator", "line", "--per-document"});
  const nlohmann::json divided =
      of_run({"--data", file("all"), "--document-separator", "line", "--per-document"}, 2);

  ASSERT_EQ(found["documents"].size(), 3u);
  double nats = 0, bytes = 0, tokens = 0;
  for (std::size_t at = 0; at < 3; ++at) {
    const auto& document = found["documents"][at];
    spill(file("one"), texts[at]);
    const nlohmann::json alone = of_run({"--data", file("one"), "--per-document"});
    const std::vector<std::int32_t> ids = tokenizer->encode(texts[at], Special::as_text);
    EXPECT_EQ(document["tokens"], ids.size());
    EXPECT_EQ(document["predicted"], ids.size() - 1);
    EXPECT_EQ(document["bytes"], texts[at].size() - tokenizer->decode({ids.data(), 1}).size());
    EXPECT_NEAR(document["loss"], alone["loss"], 1e-6);
    EXPECT_NEAR(divided["documents"][at]["loss"], document["loss"], 1e-6);
    nats += document["loss"].get<double>() * document["predicted"].get<double>();
    bytes += document["bytes"].get<double>();
    tokens += document["predicted"].get<double>();
  }
  EXPECT_NEAR(found["loss"], nats / tokens, 1e-9);
  EXPECT_NEAR(found["bits_per_byte"], nats / std::numbers::ln2 / bytes, 1e-9);
}

TEST_F(Evaluate, APrefixOfTheSequencesIsMeasuredWhereSoManyAreAsked) {
  const nlohmann::json all = of_run(validation()), some = of_run(validation({"--sequences", "5"}));
  EXPECT_EQ(some["sequences"], 5);
  EXPECT_EQ(some["tokens"], 5 * 32);
  EXPECT_EQ(some["tokens_left_out"].get<int>(),
            all["tokens_left_out"].get<int>() + (all["sequences"].get<int>() - 5) * 33);
  EXPECT_EQ(of_run(validation({"--sequences", "1000000"}))["loss"], all["loss"]);
  EXPECT_THAT(
      evaluate(ValidatedRun::get().run(), validation({"--sequences", "1000000"})).err,
      HasSubstr("--sequences 1000000: the data has " + std::to_string(all["sequences"].get<int>()) + " seq"));
}

TEST_F(Evaluate, PeopleReadATableOfDocuments) {
  spill(file("two"), "And God saw\nthat it was good\n");
  const Outcome outcome = evaluate(ValidatedRun::get().run(),
                                   {"--data", file("two"), "--document-separator", "line", "--per-document"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex("loss       [0-9.]+ nats a token\nperplexity [0-9.]+\n"
                                                    "bits/byte  [0-9.]+ over [0-9]+ bytes\n\ndocument"));
  EXPECT_THAT(outcome.err, HasSubstr("tokens/s"));
}

/// The reference's loss is the mean over the shifted labels of both sequences.
class EvaluateReference : public Evaluate {
 protected:
  void SetUp() override {
    Evaluate::SetUp();
    scout_ = reference_file("tiny_scout");
    if (scout_.empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    const io::SafetensorsFile expected(scout_ + "/expected_outputs.safetensors");
    loss_ = expected.read_as_f32("loss").at(0);
    const std::vector<std::int64_t> ids = expected.read_as_i64("input_ids");
    io::ShardWriter writer(file("shards"), {512, "none", ""}, 1 << 20);
    const std::size_t length = ids.size() / 2;
    for (std::size_t begin = 0; begin < ids.size(); begin += length)
      writer.add_document(
          std::vector<std::int32_t>(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                    ids.begin() + static_cast<std::ptrdiff_t>(begin + length)));
    writer.finish();
  }

  std::string scout_;
  double loss_ = 0;
};

TEST_F(EvaluateReference, PerplexityIsThatOfTransformers) {
  const std::vector<std::pair<int, Arguments>> layouts{{0, {}},
                                                       {2, {}},
                                                       {2, {"--tensor", "2"}},
                                                       {2, {"--expert", "2"}},
                                                       {2, {"--context", "2"}},
                                                       {2, {"--pipeline", "2"}}};
  for (const auto& [ranks, layout] : layouts) {
    Arguments more{"--data", file("shards"), "--per-document"};
    more.insert(more.end(), layout.begin(), layout.end());
    const nlohmann::json found = figures(scout_, more, ranks);
    EXPECT_NEAR(found["loss"], loss_, 1e-5 * loss_) << ::testing::PrintToString(layout);
    EXPECT_NEAR(found["perplexity"], std::exp(loss_), 1e-4 * std::exp(loss_));
    EXPECT_EQ(found["tokens"], 2 * 39);
    EXPECT_EQ(found["bits_per_byte"], nullptr) << "nothing says what the tokens stand for";
  }
}

TEST_F(EvaluateReference, ALongerDocumentIsCutAndEveryTokenStillPredictedOnce) {
  const nlohmann::json whole = figures(scout_, {"--data", file("shards"), "--per-document"}),
                       cut = figures(scout_,
                                     {"--data", file("shards"), "--per-document", "--sequence-length", "8"});
  EXPECT_EQ(cut["sequences"], 2 * 5);
  EXPECT_EQ(cut["tokens"], whole["tokens"]);
  EXPECT_GT(std::abs(cut["loss"].get<double>() - whole["loss"].get<double>()), 1e-4);
}

}  // namespace
}  // namespace caravan::test

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "io/text/load_tokenizer.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* name;
  std::string bytes;
  const char* message;
};

std::string json_with(const std::string& model, const std::string& rest = "") {
  return R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"})" +
         rest + R"(,"model":{"type":"BPE",)" + model + "}}";
}

std::string deep_json() {
  return R"({"model":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
}

const Case kCases[] = {
    {"Empty", "", "is no tokenizer (0 bytes"},
    {"Binary",
     "\x7F"
     "ELF nonsense",
     "is no tokenizer (13 bytes"},
    {"TiktokenTruncatedBase64", "IQ== 0\nIg= 1\n", ":2: 'Ig=' is not base64"},
    {"TiktokenPaddingInside", "IQ== 0\nI=g= 1\n", ":2: 'I=g=' is not base64"},
    {"TiktokenNoRank", "IQ== 0\nIg==\n", ":2: a line of 4 bytes that is not 'base64 rank'"},
    {"TiktokenHugeRank", "IQ== 99999999999999999999\n",
     "rank '99999999999999999999' is not a number from 0 to 4194303"},
    {"TiktokenRankFarBeyondTheFile", "IQ== 0\nIg== 4194303\n",
     "rank 4194303 in a file of 20 bytes (ranks are dense)"},
    {"TiktokenNegativeRank", "IQ== 0\nIg== -1\n", "rank '-1' is not a number"},
    {"TiktokenRankTwice", "IQ== 0\nIg== 0\n", ":2: rank 0 stands twice"},
    {"TiktokenTokenTwice", "IQ== 0\nIQ== 1\n", "token '!' has the ids 0 and 1"},
    {"TiktokenHole", "IQ== 0\nIg== 2\n", "rank 1 of 3 is missing"},
    {"TiktokenTooFewBytes", "IQ== 0\nIg== 1\n", "not every single byte is a token"},
    {"JsonCut", R"({"model":{"type":"BPE","vocab":{"a":0)", "not JSON that can be read"},
    {"JsonDeep", deep_json(), "at most 64 levels"},
    {"JsonNotUtf8", "{\"a\":\"\xFF\"}", "not JSON that can be read"},
    {"JsonNoModel", "{}", "no 'model'"},
    {"JsonOtherModel", R"({"model":{"type":"Unigram","vocab":{}}})",
     "type 'Unigram' (this reader knows BPE)"},
    {"JsonVocabList", json_with(R"("vocab":[])"), "vocab: not an object"},
    {"JsonVocabEmpty", json_with(R"("vocab":{})"), "vocab: empty"},
    {"JsonHugeId", json_with(R"("vocab":{"a":4194304})"), "'a': id 4194304 (ids go from 0 to 4194303)"},
    {"JsonIdFarBeyondTheTokens", json_with(R"("vocab":{"a":4194303})"),
     "id 4194303 among 1 tokens (ids have few gaps)"},
    {"JsonNegativeId", json_with(R"("vocab":{"a":-1})"), "'a': id -1"},
    {"JsonFractionId", json_with(R"("vocab":{"a":1.5})"), "'a': not an integer"},
    {"JsonTokenTwice", json_with(R"("vocab":{"a":0,"a":1})"), "'a': empty or stands twice"},
    {"JsonIdTwice", json_with(R"("vocab":{"a":0,"b":0})"), "'b': id 0 is also 'a'"},
    {"JsonMergeOfStrangers", json_with(R"("vocab":{"a":0},"merges":["a b"])"),
     "merges[0]: 'b' is not in the vocabulary"},
    {"JsonMergeMakesStranger", json_with(R"("vocab":{"a":0},"merges":["a a"])"),
     "'aa' is not in the vocabulary"},
    {"JsonMergeOfThree", json_with(R"("vocab":{"a":0},"merges":[["a","a","a"]])"), "merges[0]: 3 tokens"},
    {"JsonMergeNumber", json_with(R"("vocab":{"a":0},"merges":[7])"), "merges[0]: not a list"},
    {"JsonPrefix", json_with(R"("vocab":{"a":0},"continuing_subword_prefix":"##")"),
     "continuing_subword_prefix '##'"},
    {"JsonNormalizer", json_with(R"("vocab":{"a":0})", R"(,"normalizer":{"type":"NFC"})"),
     "without a normalizer"},
    {"JsonAddedClash", json_with(R"("vocab":{"a":0})", R"(,"added_tokens":[{"id":0,"content":"<s>"}])"),
     "added_tokens[0]: id 0 of '<s>' is 'a' in the vocabulary"},
    {"JsonAddedEmpty", json_with(R"("vocab":{"a":0})", R"(,"added_tokens":[{"id":5,"content":""}])"),
     "has no name"},
    {"JsonAddedHuge", json_with(R"("vocab":{"a":0})", R"(,"added_tokens":[{"id":1e9,"content":"x"}])"),
     "not an integer"},
    {"JsonBadPattern",
     R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(["},"behavior":"Isolated"},"model":{"vocab":{"a":0}}})",
     "pattern '([' ("},
    {"JsonOtherSplit", R"({"pre_tokenizer":{"type":"Metaspace"},"model":{"vocab":{"a":0}}})",
     "type 'Metaspace'"},
    {"JsonOtherBehavior",
     R"({"pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithNext"},"model":{"vocab":{"a":0}}})",
     "behavior 'MergedWithNext'"},
    {"SentencePieceCut", "\n\x0E\n\x05", "not a SentencePiece model that can be read"},
    {"SentencePieceMapOutOfItself",
     std::string("\n\x03\n\x01"
                 "a\x1A\x0B\x12\x09\x04\0\0\0\xFF\xFF\xFF\x7F\0",
                 18),
     "a map of characters that leads outside itself"},
    {"SentencePieceNoise", "\n" + std::string(1000, '\xFF'), "not a SentencePiece model that can be read"},
};

class Hostile : public testing::TestWithParam<Case> {};

TEST_P(Hostile, FileIsRefusedWithItsReason) {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("tokenizer");
  test::spill(file, GetParam().bytes);

  EXPECT_THAT(test::message_of<IoError>([&] { io::load_tokenizer(file); }), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Files, Hostile, testing::ValuesIn(kCases),
                         [](const auto& tested) { return tested.param.name; });

TEST(HostileFile, IsRefusedAboveTheLimitWithoutReading) {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("tokenizer.json");
  test::spill(file, "{");
  std::filesystem::resize_file(file, std::uintmax_t{300} << 20);

  EXPECT_THAT(test::message_of<IoError>([&] { io::load_tokenizer(file); }),
              HasSubstr("at most 268435456 are read"));
}

TEST(HostileFile, ThatIsMissingIsNamed) {
  EXPECT_THAT(test::message_of<IoError>([] { io::load_tokenizer("/nowhere/tokenizer.json"); }),
              HasSubstr("cannot open /nowhere/tokenizer.json (No such file or directory)"));
}

TEST(HostileFile, FolderWithoutTokenizerIsNamed) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(test::message_of<IoError>([&] { io::load_tokenizer(folder.path()); }),
              HasSubstr("holds no tokenizer.json and no tokenizer.model"));
}

/// A tokenizer that splits by `pattern`.
std::unique_ptr<Tokenizer> splitting_by(const std::string& pattern) {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("tokenizer.json");
  test::spill(file, R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":")" + pattern +
                        R"("},"behavior":"Isolated"},"model":{"vocab":{"a":0,"b":1}}})");
  return io::load_tokenizer(file);
}

TEST(HostilePattern, EndsAtItsLimitInsteadOfRunningForever) {
  const std::string run(1'000'000, 'a');
  const std::vector<std::pair<const char*, std::string>> cases{
      {"(a|aa|a*)+$", std::string(5000, 'a') + "b"},
      {"a*[bc]|a", run},       // looks at all of the text for each piece
      {"a*+[bc]|a", run},      // the same without stepping back
      {"a*[bc]", run},         // the same within one search
      {"(?=a*[bc])a|a", run},  // within a look-ahead
      {"a*a*a*[bc]", run},     // cubic
      {"(a*)*[bc]|a", run},
      {"a(?=.*b)|a", run}};
  for (const auto& [pattern, text] : cases) {
    const auto tokenizer = splitting_by(pattern);
    EXPECT_THAT(test::message_of<IoError>([&] { tokenizer->encode(text, Special::as_text); }),
                HasSubstr("limit exceeded"))
        << pattern;
  }
}

TEST(HostilePattern, ThatCostsLittleIsNotLimitedByTheLengthOfItsText) {
  const auto tokenizer = splitting_by("a+b?|b");
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "aab";
  EXPECT_EQ(tokenizer->encode(text, Special::as_text).size(), text.size());
}

TEST(HostileIds, OutsideTheVocabularyAreRefused) {
  for (const char* name : {"llama4.tokenizer.model", "llama2.tokenizer.model", "titan.tokenizer.json"}) {
    CARAVAN_NEED_REFERENCE(file, std::string("tokenizers/") + name);
    const auto tokenizer = io::load_tokenizer(file);
    for (std::int32_t id : {-1, tokenizer->vocab_size()})
      EXPECT_THAT(test::message_of<IoError>([&] { tokenizer->decode(std::array{id}); }),
                  HasSubstr(fmt::format("token id {} (the vocabulary has the ids 0 to {})", id,
                                        tokenizer->vocab_size() - 1)));
  }
}

/// Damage at every place of a sound file either still loads or is refused; it never crashes or hangs.
TEST(HostileFile, DamagedAnywhereLoadsOrIsRefused) {
  const std::string sound = json_with(R"("vocab":{"a":0,"b":1,"ab":2},"merges":["a b"])",
                                      R"(,"added_tokens":[{"id":3,"content":"<s>"}])");
  const test::TemporaryFolder folder;
  const std::string file = folder.file("tokenizer.json");
  int refused = 0;
  for (std::size_t i = 0; i < sound.size(); ++i) {
    std::string bytes = sound;
    bytes[i] = '\x01';
    test::spill(file, bytes);
    refused +=
        test::message_of<Error>([&] { io::load_tokenizer(file)->encode("abab", Special::recognise); }).empty()
            ? 0
            : 1;
  }
  EXPECT_GT(refused, static_cast<int>(sound.size()) / 2);
}

}  // namespace
}  // namespace caravan

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "caravan/error.hpp"
#include "jobs/asked_to_leave.hpp"
#include "jobs/generate/answer.hpp"
#include "jobs/generate/asked.hpp"
#include "jobs/generate/batcher.hpp"
#include "jobs/generate/prompt_file.hpp"
#include "tests/support/message_of.hpp"

// What `generate` is made of, without a model.
namespace caravan::jobs {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;

Sequence sequence(std::int64_t length, std::int64_t most) {
  return {std::vector<std::int32_t>(static_cast<std::size_t>(length), 5), {}, most};
}

/// Runs all sequences to their ends, drawing `token` always; answers' lengths by number.
std::map<std::size_t, std::int64_t> run(Batcher& batcher, std::int32_t token = 7) {
  std::map<std::size_t, std::int64_t> lengths;
  std::map<int, std::int32_t> next;  // position of each slot
  while (!batcher.done()) {
    const Batcher::Step step = batcher.compose();
    for (const auto& start : step.starts) next[start.slot.slot] = 0;
    for (const DecodeRow& row : step.rows) EXPECT_EQ(row.position, next[row.slot]++);
    const auto answers =
        std::count_if(step.rows.begin(), step.rows.end(), [](auto& row) { return row.answer; });
    const std::vector<DrawnToken> drawn(static_cast<std::size_t>(answers), {token, 0});
    for (const auto& each : batcher.take(drawn)) ++lengths[each.number];
  }
  return lengths;
}

TEST(Batcher, FeedsPromptsInPiecesAndThenOneTokenAtATime) {
  Batcher batcher(cache_for(1, 16, 4, 0), 0, 3, {});
  batcher.enqueue(sequence(5, 2));
  EXPECT_EQ(batcher.compose().rows.size(), 3u);
  EXPECT_TRUE(batcher.take({}).empty());
  const auto rest = batcher.compose().rows;
  EXPECT_EQ(rest.size(), 2u);
  EXPECT_TRUE(rest.back().answer);
  const DrawnToken drawn{9, 0};
  EXPECT_EQ(batcher.take({&drawn, 1}).front().position, 4);
  const auto one = batcher.compose().rows;
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].token, 9);
  EXPECT_EQ(one[0].position, 5);
  EXPECT_EQ(batcher.take({&drawn, 1}).front().end, Batcher::End::length);
  EXPECT_TRUE(batcher.done());
}

TEST(Batcher, PiecesEndWithTheirChunk) {
  Batcher batcher(cache_for(1, 16, 4, 4), 4, 8, {});
  batcher.enqueue(sequence(6, 1));
  EXPECT_EQ(batcher.compose().rows.size(), 4u);
  batcher.take({});
  EXPECT_EQ(batcher.compose().rows.size(), 2u);
}

TEST(Batcher, APieceOfAPromptGoesBesideRowsThatDecode) {
  Batcher batcher(cache_for(2, 32, 4, 0), 0, 4, {});
  batcher.enqueue(sequence(2, 9));
  batcher.enqueue(sequence(8, 1));
  EXPECT_EQ(batcher.compose().rows.size(), 4u);  // 2 and 2 of 8
  const DrawnToken drawn{9, 0};
  batcher.take({&drawn, 1});
  const auto rows = batcher.compose().rows;
  EXPECT_EQ(rows.size(), 4u);
  EXPECT_TRUE(rows[0].answer);
  EXPECT_EQ(rows[1].position, 2);
}

TEST(Batcher, ASequenceEndsWithAStopThatIsNoneOfItsAnswer) {
  Batcher batcher(cache_for(1, 16, 4, 0), 0, 4, {3});
  batcher.enqueue(sequence(1, 5));
  batcher.compose();
  const DrawnToken drawn{3, 0};
  EXPECT_EQ(batcher.take({&drawn, 1}).front().end, Batcher::End::stop);
  EXPECT_TRUE(batcher.done());
}

TEST(Batcher, GoesOnWhileNobodyJoinsOrLeaves) {
  Batcher batcher(cache_for(2, 16, 4, 0), 0, 4, {});
  batcher.enqueue(sequence(1, 3));
  batcher.enqueue(sequence(1, 3));
  EXPECT_FALSE(batcher.goes_on());
  batcher.compose();
  EXPECT_TRUE(batcher.goes_on());
  batcher.post_again();
  batcher.post_again();
  EXPECT_FALSE(batcher.goes_on());  // all that they may draw is under way
  const std::vector<DrawnToken> drawn(2, {9, 0});
  batcher.take(drawn);
  batcher.finish(0);
  EXPECT_EQ(batcher.take(drawn).size(), 1u);  // of the other
  EXPECT_EQ(batcher.take(drawn).front().end, Batcher::End::length);
  EXPECT_TRUE(batcher.done());
}

TEST(Batcher, WhatCanNeverFitIsRefused) {
  Batcher batcher(cache_for(1, 16, 4, 0), 0, 4, {});
  EXPECT_THAT(message_of([&] { batcher.enqueue(sequence(12, 5)); }),
              HasSubstr("a prompt of 12 tokens and 5 new ones (the cache holds sequences of 16 positions"));
}

TEST(Batcher, TenThousandSequencesOfAllLengthsComeToTheirEnds) {
  CacheShape cache = cache_for(8, 64, 4, 16);
  cache.pages /= 2;  // less than all at their longest
  Batcher batcher(cache, 16, 24, {});
  std::mt19937 draw(3);
  std::vector<std::int64_t> wanted;
  for (int i = 0; i < 10000; ++i) {
    wanted.push_back(1 + static_cast<std::int64_t>(draw() % 20));
    batcher.enqueue(sequence(1 + static_cast<std::int64_t>(draw() % 40), wanted.back()));
  }

  const auto lengths = run(batcher);

  ASSERT_EQ(lengths.size(), wanted.size());
  for (const auto& [number, length] : lengths) ASSERT_EQ(length, wanted[number]) << number;
}

/// Token n is the n-th letter.
class Letters final : public Tokenizer {
 public:
  std::vector<std::int32_t> encode(std::string_view, Special) const override { return {}; }
  void decode_one(std::int32_t id, DecodePosition&, std::string& out) const override {
    out += static_cast<char>('a' + id);
  }
  std::int32_t vocab_size() const override { return 26; }
  std::string name_of(std::int32_t) const override { return {}; }
  std::optional<std::int32_t> special_id(std::string_view) const override { return {}; }
  std::optional<std::int32_t> bos() const override { return {}; }
  std::optional<std::int32_t> eos() const override { return {}; }
  std::string description() const override { return {}; }
};

/// The pieces that are shown while "abcd…" comes, and at the end.
std::vector<std::string> pieces(Answer& answer, const std::string& text) {
  std::vector<std::string> shown;
  for (const char letter : text) {
    if (answer.is_stopped()) break;
    shown.push_back(answer.push({letter - 'a', 0}));
  }
  shown.push_back(answer.finish("length"));
  return shown;
}

TEST(Answers, AreShownAsTheyCome) {
  const Letters letters;
  Answer answer(&letters, {});
  EXPECT_EQ(pieces(answer, "abc"), (std::vector<std::string>{"a", "b", "c", ""}));
  EXPECT_EQ(answer.reason(), "length");
}

TEST(Answers, WhatMayBeginAStopStringWaits) {
  const Letters letters;
  Answer answer(&letters, {"bcd"});
  EXPECT_EQ(pieces(answer, "abcabx"), (std::vector<std::string>{"a", "", "", "bca", "", "bx", ""}));
  EXPECT_EQ(answer.text(), "abcabx");
}

TEST(Answers, EndBeforeAStopString) {
  const Letters letters;
  Answer answer(&letters, {"xx", "bc"});
  EXPECT_EQ(pieces(answer, "abcd"), (std::vector<std::string>{"a", "", "", ""}));
  EXPECT_EQ(answer.text(), "a");
  EXPECT_EQ(answer.reason(), "stop");
  EXPECT_EQ(answer.tokens(), (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(Answers, WhatWaitedIsShownAtTheEnd) {
  const Letters letters;
  Answer answer(&letters, {"bcd"});
  EXPECT_EQ(pieces(answer, "abc"), (std::vector<std::string>{"a", "", "", "bc"}));
}

std::string refusal(const std::string& text) {
  return message_of<ConfigError>([&] { parse_prompts(text, "p"); });
}

TEST(PromptFile, EachLineOfATextIsAPrompt) {
  const auto prompts = parse_prompts("one\ntwo words\r\nthree", "p");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[1].text, "two words");
  EXPECT_EQ(prompts[2].place, "p: line 3");
}

TEST(PromptFile, JsonLinesSayMore) {
  const auto prompts =
      parse_prompts(R"({"prompt": "a", "seed": 7, "max_new_tokens": 3, "stop": ["x", "y"], "id": "q1"})"
                    "\n"
                    R"({"prompt_ids": [1, 2], "stop": "z", "id": 5})",
                    "p");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].seed, 7u);
  EXPECT_EQ(prompts[0].most_tokens, 3);
  EXPECT_EQ(prompts[0].stops, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(prompts[0].id, "q1");
  EXPECT_EQ(prompts[1].tokens, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(prompts[1].stops, (std::vector<std::string>{"z"}));
  EXPECT_FALSE(prompts[1].seed);
}

TEST(PromptFile, ABracketBehindAByteOrderMarkOrBlanksTellsJsonLines) {
  const std::string mark = "\xEF\xBB\xBF", lines = "{\"prompt\": \"a\"}\n \t{\"prompt\": \"b\"}\n";
  for (const std::string& before : {mark, std::string("  "), mark + "\t "}) {
    const auto prompts = parse_prompts(before + lines, "p");
    ASSERT_EQ(prompts.size(), 2u);
    EXPECT_EQ(prompts[0].text, "a");
    EXPECT_EQ(prompts[1].text, "b");
  }
  EXPECT_EQ(parse_prompts(mark + "a text", "p").at(0).text, "a text");
  EXPECT_EQ(parse_prompts("a\n{b", "p").at(1).text, "{b");
  EXPECT_THAT(refusal("  \n{\"prompt\": \"a\"}"), HasSubstr("p: line 1: not JSON"));
}

TEST(PromptFile, IsLeftAtALine) {
  int lines = 0;
  const auto leave_at_the_third = [&] {
    if (++lines == 3) throw AskedToLeave("asked");
  };
  EXPECT_EQ(message_of<AskedToLeave>([&] { parse_prompts("a\nb\nc\nd", "p", leave_at_the_third); }), "asked");
  GenerateOptions options;
  options.prompts = "p";
  options.given = parse_prompts("{\"prompt_ids\": [1]}\n{\"prompt_ids\": [2]}", "p");
  lines = 1;
  EXPECT_EQ(message_of<AskedToLeave>([&] { asked_of(options, nullptr, nullptr, 8, leave_at_the_third); }),
            "asked");
}

TEST(PromptFile, WhatIsNoPromptIsRefusedWithItsLine) {
  EXPECT_THAT(refusal(""), HasSubstr("p is empty"));
  EXPECT_THAT(refusal("a\n\nb"), HasSubstr("p: line 2 is empty"));
  EXPECT_THAT(refusal("{\"prompt\": \"a\"}\n{"), HasSubstr("p: line 2: not JSON"));
  EXPECT_THAT(refusal("{\"prompt\": \"a\"}\n[1]"), HasSubstr("p: line 2: of type array"));
  EXPECT_THAT(refusal("{}"), HasSubstr("p: line 1: prompt and prompt_ids (one of them is needed)"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "prompt_ids": [1]})"), HasSubstr("one of them is needed"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "prompt": "b"})"), HasSubstr("'prompt' stands twice"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "temperature": 1})"), HasSubstr("'temperature' (only"));
  EXPECT_THAT(refusal(R"({"prompt": 5})"), HasSubstr("'prompt' of type number"));
  EXPECT_THAT(refusal(R"({"prompt": ""})"), HasSubstr("'prompt' is empty"));
  EXPECT_THAT(refusal(R"({"prompt_ids": []})"), HasSubstr("'prompt_ids' (a list of token ids)"));
  EXPECT_THAT(refusal(R"({"prompt_ids": [-1]})"), HasSubstr("'prompt_ids' is -1"));
  EXPECT_THAT(refusal(R"({"prompt_ids": [2147483647]})"), HasSubstr("'prompt_ids' is 2147483647"));
  EXPECT_THAT(refusal(R"({"prompt_ids": [1.5]})"), HasSubstr("'prompt_ids' is 1.5"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "seed": -1})"), HasSubstr("'seed' is -1"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "seed": 1e300})"), HasSubstr("'seed' is 1e+300"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "max_new_tokens": 0})"), HasSubstr("'max_new_tokens' is 0"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "stop": ""})"), HasSubstr("'stop' is empty"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "stop": [["x"]]})"), HasSubstr("'stop' of type array"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "id": [1]})"), HasSubstr("'id' of type array"));
  EXPECT_THAT(refusal(R"({"prompt": [[[[[[1]]]]]]})"), HasSubstr("more than 4 levels"));
  EXPECT_THAT(refusal("{\"prompt_ids\": [1], \"seed\": 1e400}"), HasSubstr("p: line 1: not JSON"));
}

TEST(PromptFile, StopStringsAreFewAndShort) {
  const std::string where = "p";
  EXPECT_THAT(message_of<ConfigError>([&] { check_stops(std::vector<std::string>(17, "x"), where); }),
              HasSubstr("p: 17 stop strings (at most 16 are looked for)"));
  EXPECT_THAT(message_of<ConfigError>([&] { check_stops({std::string(1025, 'x')}, where); }),
              HasSubstr("p: a stop string of 1025 bytes (1 to 1024 are looked for)"));
}

}  // namespace
}  // namespace caravan::jobs

#include <gmock/gmock.h>

#include "tests/jobs/chat_tokenizer.hpp"
#include "tests/jobs/job_test.hpp"

// `caravan generate --chat` with a tiny model and a tokenizer of bytes that has Llama 4's special tokens.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* kTalk = R"([{"role": "user", "content": "Hi<|eot|>"}])";

class Chat : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    ASSERT_TRUE(ended_with(
        run(train(job(kMiniJob), "run", 1, {"model.vocab_size=300", "data.vocab_size=300", "train.steps=1"})),
        0));
    std::filesystem::create_directories(file("words"));
    write_chat_tokenizer(file("words/tokenizer.json"));
    spill(file("talk.json"), kTalk);
  }
  Arguments generate(const Arguments& more, const std::string& tokens = "12") const {
    Arguments arguments{"generate", "--model", file("run"),        "--tokenizer", file("words"),
                        "--device", "host",    "--max-new-tokens", tokens};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Outcome answer(const std::string& talk,
                 const Arguments& more = {"--greedy", "--ignore-eos", "--json"}) const {
    Arguments arguments = generate({"--chat", file(talk)});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caravan(arguments);
  }
};

// The tokenizer is here; no conversation.
TEST_F(Chat, LinesOfTextAreContinuedUpToAStopString) {
  spill(file("lines.txt"), "Hi\nHow are you\n");
  const auto answers = [&](Arguments more) {
    more.insert(more.end(), {"--prompts", file("lines.txt"), "--greedy", "--ignore-eos"});
    const Outcome outcome = caravan(generate(more));
    EXPECT_TRUE(ended_with(outcome, 0)) << outcome.err;
    const std::size_t first = outcome.out.find('\n') + 1;
    return std::pair(nlohmann::json::parse(outcome.out.substr(0, first)),
                     nlohmann::json::parse(outcome.out.substr(first)));
  };
  const auto [first, second] = answers({});
  EXPECT_EQ(first.at("prompt_tokens"), 2);
  EXPECT_EQ(second.at("prompt_tokens"), 11);
  const auto text = first.at("text").get<std::string>();
  const auto is_middle = [&](std::size_t at) { return at < text.size() && (text[at] & 0xC0) == 0x80; };
  std::size_t begin = 1;
  while (is_middle(begin)) ++begin;
  std::size_t end = begin + 1;
  while (is_middle(end)) ++end;
  const std::string stop = text.substr(begin, end - begin);  // the second character

  const auto stopped = answers({"--stop", stop}).first;

  EXPECT_EQ(stopped.at("text"), text.substr(0, text.find(stop)));
  EXPECT_EQ(stopped.at("stop"), "stop");
  EXPECT_LT(stopped.at("ids").size(), first.at("ids").size());
}

TEST_F(Chat, TheAnswerIsWhatFollowsTheTokensOfTheConversation) {
  std::string ids = "256 257 117 115 101 114 258 10 10 72 105";
  for (char c : std::string("<|eot|>")) ids += " " + std::to_string(c);
  ids += " 259 257 97 115 115 105 115 116 97 110 116 258 10 10";
  const Outcome plain = caravan(generate({"--prompt-ids", ids, "--greedy", "--ignore-eos", "--json"}));
  ASSERT_TRUE(ended_with(plain, 0)) << plain.err;
  const auto text = nlohmann::json::parse(plain.out).at("text").get<std::string>();

  const Outcome streamed = answer("talk.json", {"--greedy", "--ignore-eos"});
  ASSERT_TRUE(ended_with(streamed, 0)) << streamed.err;
  EXPECT_EQ(streamed.out, text + "\n");
  EXPECT_THAT(streamed.err, HasSubstr("no chat template is stored with the model: Llama 4's is used"));

  const Outcome outcome = answer("talk.json");
  ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
  auto expected = nlohmann::json::parse(kTalk);
  expected.push_back({{"role", "assistant"}, {"content", text}});
  EXPECT_EQ(nlohmann::json::parse(outcome.out), expected);
  EXPECT_THAT(outcome.err, HasSubstr("32 prompt tokens in "));
  EXPECT_THAT(outcome.err, HasSubstr("stopped by length"));
}

TEST_F(Chat, WhatJsonPrintsIsFedInAgain) {
  spill(file("talk.json"), std::string("{\"messages\": ") + kTalk + "}");
  auto talk = nlohmann::json::parse(answer("talk.json").out);
  ASSERT_EQ(talk["messages"].size(), 2u);
  spill(file("answered.json"), talk.dump());
  const Outcome nothing_asked = answer("answered.json");
  EXPECT_TRUE(ended_with(nothing_asked, 2));
  EXPECT_THAT(nothing_asked.err, HasSubstr("message 2: the last one is the assistant's"));

  talk["messages"].push_back({{"role", "user"}, {"content", "And then?"}});
  spill(file("asked.json"), talk.dump());
  const Outcome from_file = answer("asked.json");
  ASSERT_TRUE(ended_with(from_file, 0)) << from_file.err;
  auto longer = nlohmann::json::parse(from_file.out)["messages"];
  ASSERT_EQ(longer.size(), 4u);
  longer.erase(3);
  EXPECT_EQ(longer, talk["messages"]);

  Command piped{{"-c", "exec \"$CARAVAN_BINARY\" \"$@\" < " + file("asked.json"), "sh"}, 0, {}, 60};
  const Arguments arguments = generate({"--chat", "-", "--greedy", "--ignore-eos", "--json"});
  piped.arguments.insert(piped.arguments.end(), arguments.begin(), arguments.end());
  piped.program = "/bin/sh";
  EXPECT_EQ(run(piped).out, from_file.out);
}

TEST_F(Chat, AnAnswerEndsWithItsTurn) {
  // Nearly even draws from 261 tokens: 4000 of them without <|eot|> and <|eom|> have a chance of 1e-13.
  const Outcome outcome = caravan(
      generate({"--chat", file("talk.json"), "--temperature", "100", "--top-p", "1", "--json"}, "4000"));
  ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("stopped by eos"));
}

TEST_F(Chat, RanksAnswerWhatTheFirstOfThemReads) {
  Command command{
      generate({"--chat", file("talk.json"), "--greedy", "--ignore-eos", "--json", "--tensor", "2"}),
      2,
      {},
      60};
  const Outcome outcome = run(command);
  ASSERT_TRUE(ended_with(outcome, 0)) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out).size(), 2u);
  command.arguments = generate({"--chat", file("nowhere.json"), "--tensor", "2"});
  EXPECT_TRUE(ended_with(run(command), 3));
}

TEST_F(Chat, AnotherTemplateIsRefusedUnlessLlama4sIsAskedFor) {
  spill(file("words/tokenizer_config.json"), R"({"chat_template": "{{ messages }}"})");
  const Outcome refused = answer("talk.json");
  EXPECT_TRUE(ended_with(refused, 2));
  EXPECT_THAT(refused.err,
              HasSubstr(file("words/tokenizer_config.json") + " holds a chat template that is not"));
  const Outcome asked = answer("talk.json", {"--chat-template", "llama4", "--greedy", "--json"});
  EXPECT_TRUE(ended_with(asked, 0)) << asked.err;
  EXPECT_THAT(asked.err, HasSubstr("words/tokenizer_config.json is not used: Llama 4's is, as asked"));
}

TEST_F(Chat, ATokenizerWithoutTurnsAndAModelWithoutTokenizerAreRefused) {
  write_chat_tokenizer(file("words/tokenizer.json"), {"<|begin_of_text|>", "<|eot|>"});
  const Outcome outcome = answer("talk.json");
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr("has no <|header_start|>, <|header_end|> (--chat needs"));
  const Outcome none = caravan({"generate", "--model", file("run"), "--chat", file("talk.json")});
  EXPECT_TRUE(ended_with(none, 2));
  EXPECT_THAT(none.err, HasSubstr("names no tokenizer (needed for --chat)"));
}

TEST_F(Chat, WhatWouldBeIgnoredIsRefused) {
  const std::string talk = file("talk.json");
  const std::pair<Arguments, Arguments> cases[] = {
      {{"--chat", talk, "--prompt", "a"}, {"--chat", "--prompt"}},
      {{"--chat", talk, "--prompt-ids", "1"}, {"--chat", "--prompt-ids"}},
      {{"--chat", talk, "--no-bos"}, {"--chat", "--no-bos"}},
      {{"--chat-template", "llama4", "--prompt", "a"}, {"--chat-template", "--chat"}},
      {{"--chat", talk, "--chat-template", "chatml"}, {"--chat-template", "llama4"}},
      {{"--chat", ""}, {"--chat is empty"}}};
  for (const auto& [arguments, named] : cases) {
    const Outcome outcome = caravan(generate(arguments));
    EXPECT_TRUE(ended_with(outcome, 2)) << ::testing::PrintToString(arguments);
    for (const std::string& name : named) EXPECT_THAT(outcome.err, HasSubstr(name));
  }
  EXPECT_TRUE(ended_with(answer("nowhere.json"), 3));
  spill(talk, std::string((std::size_t{16} << 20) + 1, ' '));
  EXPECT_TRUE(ended_with(answer("talk.json"), 3));
}

}  // namespace
}  // namespace caravan::test

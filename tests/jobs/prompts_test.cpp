#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "io/safetensors/reader.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// `caravan generate` of many prompts at once.
namespace caravan::test {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<std::int64_t>;

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

struct Where {
  std::string model, device;
  int ranks = 0, tensor = 1, expert = 1;
};

class ManyPrompts : public JobTest, public ::testing::WithParamInterface<Where> {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (GetParam().device == "cuda" && !has_gpu()) GTEST_SKIP() << "no NVIDIA GPU";
    model_ = reference_file(GetParam().model);
    if (model_.empty()) GTEST_SKIP() << "no " << GetParam().model << " in CARAVAN_REFERENCE_DIR";
  }

  std::string prompts_file(const std::vector<Json>& prompts) const {
    std::ofstream out(file("prompts.jsonl"));
    for (const Json& prompt : prompts) out << prompt.dump() << "\n";
    return file("prompts.jsonl");
  }
  Command command(std::vector<std::string> more) const {
    std::vector<std::string> arguments{"generate",
                                       "--model",
                                       model_,
                                       "--device",
                                       GetParam().device,
                                       "--precision",
                                       "fp32",
                                       "--tensor",
                                       std::to_string(GetParam().tensor),
                                       "--expert",
                                       std::to_string(GetParam().expert)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return {arguments, GetParam().ranks, {}, 60};
  }
  std::vector<Json> answers(std::vector<std::string> more) const {
    const Outcome outcome = run(command(std::move(more)));
    EXPECT_TRUE(ended_with(outcome, 0));
    return lines_of(outcome.out);
  }

  std::string model_;
};

std::string name_of(const ::testing::TestParamInfo<Where>& info) {
  return info.param.model + "_" + info.param.device + "_" + std::to_string(info.param.ranks) + "_tensor" +
         std::to_string(info.param.tensor) + "_expert" + std::to_string(info.param.expert);
}

class Batched : public ManyPrompts {};

TEST_P(Batched, EachPromptContinuesAsAloneAndAsTransformersDoes) {
  const io::SafetensorsFile expected(reference_file(GetParam().model + "/expected_outputs.safetensors"));
  const Ids golden = expected.read_as_i64("greedy_prompt");
  std::vector<Json> prompts;
  for (int other = 0; other < 5; ++other) {
    if (other == 2) prompts.push_back({{"prompt_ids", golden}, {"id", "golden"}});
    prompts.push_back({{"prompt_ids", Ids(golden.begin(), golden.begin() + 1 + 2 * other)}});
  }

  const auto together = answers({"--prompts", prompts_file(prompts), "--batch", "3", "--greedy",
                                 "--ignore-eos", "--max-new-tokens", "24"});

  ASSERT_EQ(together.size(), prompts.size());
  EXPECT_EQ(together[2]["id"], "golden");
  EXPECT_EQ(together[2]["ids"].get<Ids>(), expected.read_as_i64("greedy_new"));
  const auto alone = answers({"--prompts", prompts_file(prompts), "--batch", "1", "--greedy", "--ignore-eos",
                              "--max-new-tokens", "24"});
  for (std::size_t at = 0; at < prompts.size(); ++at) {
    EXPECT_EQ(together[at]["prompt"], at);
    EXPECT_EQ(together[at]["ids"], alone[at]["ids"]) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Batched,
                         ::testing::Values(Where{"tiny_scout", "reference"}, Where{"tiny_scout", "host"},
                                           Where{"tiny_maverick", "reference"},
                                           Where{"tiny_maverick", "host"}, Where{"tiny_scout", "cuda"},
                                           Where{"tiny_maverick", "cuda"}, Where{"tiny_scout", "host", 2, 2},
                                           Where{"tiny_maverick", "reference", 2, 1, 2}),
                         name_of);

class Prompts : public ManyPrompts {};
INSTANTIATE_TEST_SUITE_P(All, Prompts, ::testing::Values(Where{"tiny_scout", "host"}), name_of);

TEST_P(Prompts, DrawsDependOnTheSeedAndNotOnTheBatch) {
  const auto file = prompts_file({{{"prompt_ids", {1, 2, 3}}}, {{"prompt_ids", {5}}, {"seed", 9}}});
  const std::vector<std::string> how{"--prompts", file,           "--num-samples",    "3", "--seed",
                                     "4",         "--ignore-eos", "--max-new-tokens", "8", "--batch"};
  const auto with = [&](const std::string& batch) {
    auto all = how;
    all.push_back(batch);
    return answers(all);
  };

  const auto one = with("1"), six = with("6");

  ASSERT_EQ(one.size(), 6u);
  for (std::size_t at = 0; at < 6; ++at) {
    EXPECT_EQ(one[at]["ids"], six[at]["ids"]) << at;
    EXPECT_EQ(one[at]["sample"], at % 3);
  }
  const auto second_sample = answers({"--prompts", prompts_file({{{"prompt_ids", {1, 2, 3}}}}), "--seed", "5",
                                      "--ignore-eos", "--max-new-tokens", "8"});
  EXPECT_EQ(second_sample.at(0)["ids"], one[1]["ids"]);
  EXPECT_NE(one[0]["ids"], one[1]["ids"]);
}

TEST_P(Prompts, HaveLimitsOfTheirOwnAndAnswersInTheirOrder) {
  const auto file = prompts_file({{{"prompt_ids", {1}}, {"max_new_tokens", 20}},
                                  {{"prompt_ids", {2, 3}}, {"max_new_tokens", 1}},
                                  {{"prompt_ids", {4}}}});

  const auto lines =
      answers({"--prompts", file, "--greedy", "--ignore-eos", "--max-new-tokens", "3", "--logprobs"});

  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["ids"].size(), 20u);
  EXPECT_EQ(lines[1]["ids"].size(), 1u);
  EXPECT_EQ(lines[2]["ids"].size(), 3u);
  EXPECT_EQ(lines[2]["logprobs"].size(), 3u);
  EXPECT_LT(lines[2]["logprobs"][0].get<double>(), 0);
  EXPECT_EQ(lines[1]["prompt_tokens"], 2);
}

TEST_P(Prompts, ABiasForbidsAToken) {
  const auto file = prompts_file({{{"prompt_ids", {1, 2, 3}}}});
  const std::vector<std::string> how{"--prompts", file, "--greedy", "--ignore-eos", "--max-new-tokens", "4"};
  const auto first = answers(how).at(0)["ids"][0].get<std::int64_t>();
  auto biased = how;
  biased.insert(biased.end(), {"--logit-bias", std::to_string(first) + "=-inf"});
  for (const auto& id : answers(biased).at(0)["ids"]) EXPECT_NE(id, first);
}

TEST_P(Prompts, WhatCannotBeDoneIsRefusedBeforeAnythingIsComputed) {
  const auto refusal = [&](const std::vector<Json>& prompts, std::vector<std::string> more) {
    more.insert(more.end(), {"--prompts", prompts_file(prompts)});
    const Outcome outcome = run(command(more));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  };
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}, {{"prompt_ids", {9999999}}}}, {}),
              ::testing::HasSubstr("line 2 token 9999999 (the model's vocab_size is"));
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}, {{"prompt", 3}}}, {}),
              ::testing::HasSubstr("line 2: 'prompt' of"));
  EXPECT_THAT(refusal({{{"prompt_ids", {1, 2, 3}}}}, {"--cache-positions", "16", "--max-new-tokens", "20"}),
              ::testing::HasSubstr("a prompt of 3 tokens and 20 new ones (the cache holds"));
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}, {{"prompt_ids", std::vector<int>(80, 3)}}},
                      {"--cache-positions", "64", "--max-new-tokens", "4"}),
              ::testing::HasSubstr("a prompt of 80 tokens and 4 new ones"));
  const std::vector<Json> many(17, {{"prompt_ids", {1}}});
  EXPECT_THAT(refusal(many, {"--num-samples", "65536"}),
              ::testing::HasSubstr("65536 samples of 17 prompts (at most 1048576 answers at a time)"));
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}}, {"--logit-bias", "3"}),
              ::testing::HasSubstr("--logit-bias=3 (as ID=VALUE)"));
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}}, {"--logit-bias", "3=1", "--logit-bias", "3=2"}),
              ::testing::HasSubstr("--logit-bias=3=2 is the second one of token 3"));
  std::vector<std::string> all;
  for (int id = 0; id < 512; ++id) all.insert(all.end(), {"--logit-bias", std::to_string(id) + "=-inf"});
  EXPECT_THAT(refusal({{{"prompt_ids", {1}}}}, all),
              ::testing::HasSubstr("--logit-bias forbids all 512 tokens (none is left to be drawn). Fewer"));
}

TEST_P(Prompts, LengthsAndSeedsAtTheirLimitsAreRefusedByTheirOwnNames) {
  const auto refusal = [&](const Json& prompt, const std::vector<std::string>& more) {
    std::vector<std::string> all{"--prompts", prompts_file({prompt})};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(command(all));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    return outcome.last_line();
  };
  EXPECT_THAT(refusal({{"prompt_ids", {1, 2}}}, {"--max-new-tokens", "16777215"}),
              ::testing::HasSubstr("line 1 of 2 tokens and 16777215 new ones (at most 16777216 together). "
                                   "Fewer --max-new-tokens, or"));
  const std::uint64_t last = 9223372036854775807U;
  EXPECT_THAT(refusal({{"prompt_ids", {1}}, {"seed", last}}, {"--num-samples", "2"}),
              ::testing::HasSubstr("line 1 has the seed 9223372036854775807 and 2 samples"));
  EXPECT_THAT(refusal({{"prompt_ids", {1}}, {"seed", last + 1}}, {}),
              ::testing::HasSubstr("'seed' is 9223372036854775808 (an integer in"));
  const std::vector<std::string> one{"--max-new-tokens", "1", "--seed", std::to_string(last), "--prompts"};
  auto with_file = one;
  with_file.push_back(prompts_file({{{"prompt_ids", {1}}}}));
  EXPECT_EQ(answers(with_file).size(), 1u);
}

TEST_P(Prompts, ThatAreLeftLeaveWholeLines) {
  std::vector<Json> prompts;
  for (int i = 0; i < 4000; ++i) prompts.push_back({{"prompt_ids", {1 + i % 7, 2, 3}}});
  std::filesystem::create_directory(file("streams"));
  Program program(command({"--prompts", prompts_file(prompts), "--ignore-eos", "--max-new-tokens", "40"}),
                  file("streams"));
  ASSERT_TRUE(program.wait_for("decoding 16 sequences at a time", 30));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(program.launcher(), SIGINT);

  const Outcome outcome = program.wait();

  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_TRUE(outcome.out.empty() || outcome.out.ends_with('\n'));
  const auto lines = lines_of(outcome.out);
  EXPECT_LT(lines.size(), prompts.size());
  for (std::size_t at = 0; at < lines.size(); ++at) EXPECT_EQ(lines[at]["prompt"], at);
}

}  // namespace
}  // namespace caravan::test

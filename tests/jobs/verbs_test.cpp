#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kVerbs[] = {"train",     "forward", "generate", "plugins",
                                  "tokenizer", "data",    "inspect",  "bench"};

class Verbs : public JobTest {};

TEST_F(Verbs, HelpIsZeroOnStandardOutput) {
  const Outcome whole = caravan({"--help"});
  EXPECT_TRUE(ended_with(whole, 0));
  for (const char* verb : kVerbs) {
    EXPECT_THAT(whole.out, HasSubstr(std::string("\n  ") + verb));
    const Outcome one = caravan({verb, "--help"});
    EXPECT_TRUE(ended_with(one, 0)) << verb;
    EXPECT_THAT(one.out, HasSubstr("--help"));
    EXPECT_THAT(one.err, IsEmpty());
  }
  EXPECT_TRUE(ended_with(caravan({"--version"}), 0));
}

TEST_F(Verbs, WrongUseIsTwoOnStandardError) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{}, "subcommand is required"},
      {{"trian"}, "no verb 'trian'. Did you mean 'train'?"},
      {{"dance"}, "no verb 'dance'. Known: train, forward, "},
      {{"--colour"}, ""},
      {{"train"}, "job is required"},
      {{"train", "job.yaml", "--colour"}, "--colour"},
      {{"forward"}, "--model is required"},
      {{"generate"}, "--model is required"},
      {{"generate", "--model", "x", "--temperature", "-1"}, "--temperature"},
      {{"inspect"}, "path is required"},
      {{"tokenizer"}, "subcommand is required"},
      {{"tokenizer", "encode"}, "--tokenizer is required"},
      {{"data", "prepare"}, "--input is required"},
      {{"plugins"}, "subcommand is required"},
      {{"plugins", "describe", "model/llama5"}, "Did you mean 'llama4'?"},
      {{"bench"}, "subcommand is required"}};
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 2));
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(Verbs, WhatDoesNotExistIsBadInput) {
  const std::string nowhere = file("nowhere");
  const std::vector<std::vector<std::string>> cases{
      {"inspect", nowhere},
      {"generate", "--model", nowhere, "--prompt-ids", "1"},
      {"forward", "--model", nowhere, "--inputs", "x", "--outputs", "y"},
      {"tokenizer", "encode", "--tokenizer", nowhere, "text"},
      {"tokenizer", "train", "--input", nowhere, "--vocab-size", "300", "--output", file("t.json")}};
  for (const auto& arguments : cases) {
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 3)) << arguments[0];
    EXPECT_THAT(outcome.err, HasSubstr(nowhere));
  }
}

}  // namespace
}  // namespace caravan::test

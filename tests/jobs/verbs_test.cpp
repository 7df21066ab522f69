#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The first word of every line below "Subcommands:".
std::vector<std::string> verbs_in(const std::string& help) {
  std::vector<std::string> verbs;
  std::istringstream lines(help.substr(std::min(help.find("Subcommands:"), help.size())));
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);) {
    std::string verb;
    if (std::istringstream(line) >> verb) verbs.push_back(verb);
  }
  return verbs;
}

class Verbs : public JobTest {};

TEST_F(Verbs, HelpIsZeroOnStandardOutput) {
  const Outcome whole = caravan({"--help"});
  EXPECT_TRUE(ended_with(whole, 0));
  const auto verbs = verbs_in(whole.out);
  EXPECT_THAT(verbs, ::testing::IsSupersetOf({"train", "forward", "generate", "plugins", "tokenizer", "data",
                                              "inspect", "bench"}));
  for (const std::string& verb : verbs) {
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
      {{"dance"}, "no verb 'dance'. Known: train, submit, forward, "},
      {{"--colour"}, ""},
      {{"train"}, "job is required"},
      {{"train", "job.yaml", "--colour"}, "--colour"},
      {{"submit", "job.yaml"}, "--site is required"},
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

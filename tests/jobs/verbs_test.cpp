#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "caravan/fingerprint.h"
#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
}

TEST_F(Verbs, VersionSaysWhatTheBuildHas) {
  const Outcome outcome = caravan({"--version"});
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, ::testing::StartsWith("caravan " CARAVAN_VERSION ", commit "));
  for (const char* line : {"\ncompiler  ", "\nMPI       ", "\nHDF5      1", "\nCUDA      ", "\ndevices   ",
                           "\nreads     ", "\nlacks     "})
    EXPECT_THAT(outcome.out, HasSubstr(line));
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex("devices   .*reference"));
}

TEST_F(Verbs, WrongUseIsTwoOnStandardError) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{}, "no verb given. Known: train, submit, forward, "},
      {{"trian"}, "no verb 'trian'. Did you mean 'train'?"},
      {{"dance"}, "no verb 'dance'. Known: train, submit, forward, "},
      {{"--colour"}, ""},
      {{"train"}, "job is required"},
      {{"train", "job.yaml", "--colour"}, "--colour"},
      {{"submit", "job.yaml"}, "--site is required"},
      {{"forward"}, "--model is required"},
      {{"evaluate"}, "--model is required"},
      {{"evaluate", "--model", "x"}, "--data is required"},
      {{"compare-runs", "x"}, "b is required"},
      {{"generate"}, "--model is required"},
      {{"compare", "x", "y"}, "--inputs is required"},
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

TEST_F(Verbs, WhatIsTheWorkOfOneProcessIsRefusedOnRanks) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"plugins", "list"}, {"generate", "--model", "x", "--prompt-ids", "1"}}) {
    const Outcome outcome = run({arguments, 2, {}, 60});
    EXPECT_TRUE(ended_with(outcome, 2));
    EXPECT_THAT(outcome.err, HasSubstr(arguments[0] + " on 2 ranks"));
    EXPECT_THAT(run({arguments, 1, {}, 60}).err, Not(HasSubstr("ranks")));
  }
}

TEST_F(Verbs, AnOptionThatWouldBeIgnoredIsRefused) {
  using Arguments = std::vector<std::string>;
  std::vector<std::pair<Arguments, Arguments>> cases{
      {{"generate", "--model", "x", "--prompt", ""}, {"--prompt is empty"}},
      {{"inspect", "x", "--stats", "--bins", "4"}, {"--bins", "--histogram"}},
      {{"inspect", "x", "--bins", "4"}, {"--bins", "--histogram"}},
      {{"inspect", "x", "--rtol", "1e-3"}, {"--rtol", "--diff"}},
      {{"inspect", "x", "--verify", "--atol", "1e-3"}, {"--atol", "--diff"}}};
  for (const char* option : {"--temperature", "--top-k", "--top-p", "--seed"})
    cases.push_back(
        {{"generate", "--model", "x", "--prompt", "a", "--greedy", option, "1"}, {option, "--greedy"}});
  for (const Arguments& view :
       {Arguments{"--verify"}, {"--job"}, {"--experts"}, {"--tokens", "0:1"}, {"--show", "a"}}) {
    for (const auto& [option, value] : {std::pair("--tensors", "*"), {"--depth", "2"}}) {
      Arguments arguments{"inspect", "x", option, value};
      arguments.insert(arguments.end(), view.begin(), view.end());
      cases.push_back({arguments, {option, view[0]}});
    }
  }
  for (const auto& [arguments, named] : cases) {
    const Outcome outcome = caravan(arguments);
    EXPECT_TRUE(ended_with(outcome, 2)) << ::testing::PrintToString(arguments);
    for (const std::string& name : named) EXPECT_THAT(outcome.err, HasSubstr(name));
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

#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// caravan plugins check dispatch/NAME, alone and under mpirun: what is sound passes, each mistake is named.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DispatchCheck : public JobTest {
 protected:
  Outcome check(int ranks, const char* plugins, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"plugins", "check"});
    return run({arguments, ranks, {{"CARAVAN_PLUGIN_PATH", plugins}}, 60});
  }
  Outcome flawed(int ranks, const std::string& flaw) const {
    return check(ranks, CARAVAN_FLAWED_PLUGINS, {"dispatch/flawed", "flaw=" + flaw});
  }
};

TEST_F(DispatchCheck, WhatCaravanBringsIsSound) {
  struct Case {
    const char* name;
    int ranks;
  };
  constexpr Case kCases[] = {{"local", 0},      {"all_to_all", 0}, {"all_to_all", 1}, {"all_to_all", 2},
                             {"all_to_all", 3}, {"deepep", 0},     {"deepep", 2},     {"deepep", 3}};
  for (const Case& each : kCases) {
    for (const char* device : {"reference", "host"}) {
      const Outcome outcome = check(each.ranks, CARAVAN_FLAWED_PLUGINS,
                                    {std::string("dispatch/") + each.name, "--device", device});
      EXPECT_TRUE(ended_with(outcome, 0)) << each.name << " " << each.ranks << "\n"
                                          << outcome.out << outcome.err;
      EXPECT_THAT(outcome.out, HasSubstr("ok     every expert is on one rank\n")) << each.name;
      EXPECT_THAT(outcome.out, HasSubstr("some ranks with fewer rows, f32: two exchanges at once"));
    }
  }
}

/// Rows of an expert may come in any order, and between rows of zeros.
TEST_F(DispatchCheck, OtherOrdersAreSound) {
  for (const char* name : {"shuffled", "weighed"}) {
    const Outcome outcome =
        check(0, CARAVAN_TEST_DISPATCHERS, {std::string("dispatch/") + name, "--precision", "fp32"});
    EXPECT_TRUE(ended_with(outcome, 0)) << name << "\n" << outcome.out << outcome.err;
  }
  // "exchanged" needs ranks with equally many rows.
  const Outcome outcome = check(1, CARAVAN_TEST_DISPATCHERS, {"dispatch/exchanged", "--precision", "fp32"});
  EXPECT_TRUE(ended_with(outcome, 0)) << outcome.out << outcome.err;
}

TEST_F(DispatchCheck, OneOfFp32AloneIsSound) {
  const std::string says = "exchanges in bf16: ";
  const Outcome outcome = check(1, CARAVAN_TEST_DISPATCHERS, {"dispatch/exchanged"});
  EXPECT_TRUE(ended_with(outcome, 0)) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("-      " + says + "not tried (the dispatcher does not support it: "));
  const Outcome asked = check(1, CARAVAN_TEST_DISPATCHERS, {"dispatch/exchanged", "--precision", "bf16"});
  EXPECT_TRUE(ended_with(asked, 1));
  EXPECT_THAT(asked.out, HasSubstr("WRONG  " + says));
}

TEST_F(DispatchCheck, OneWithoutAFlawIsSound) {
  for (const int ranks : {0, 2}) EXPECT_TRUE(ended_with(flawed(ranks, "none"), 0));
}

TEST_F(DispatchCheck, EachMistakeIsNamed) {
  struct Case {
    const char *flaw, *says;
  };
  constexpr Case kCases[] = {
      {"expert", "f32: every row comes once, to its expert: on rank 0: expert 0 has token "},
      {"score",
       "scores on the output, f32: results come back, times their scores, and are summed: on rank 0: number"},
      {"count", "f32: every row comes once, to its expert: on rank "},
      {"buffer",
       "f32: results come back, times their scores, and are summed: on rank 0: number 0 of the sum of"},
      {"beyond", "f32: nothing else is written: on rank 0: 1 bytes behind the received rows are written"},
      {"doubled",
       "f32: gradients of rows and scores come back: on rank 0: number 0 of the gradient of token 0"},
      {"scores",
       "f32: gradients of rows and scores come back: on rank 0: the gradient of score 0 of token 0 is"},
      {"input", "f32: nothing else is written: on rank 0: an exchange writes x, dy or the base"},
      {"repeats", "f32: a repeated forward as the first: on rank 0: expert 0 has token"},
      {"held", "WRONG  every expert is on one rank: "},
      {"paper",
       "WRONG  a dry run walks through it: on rank 0: caravan: ended by SIGSEGV while wait of segment "
       "'dispatch' of layers.0, a layer/moe:"},
      {"lost", "f32: three micro-batches in flight as one by one: on rank"},
  };
  for (const Case& bad : kCases) {
    const Outcome outcome = flawed(2, bad.flaw);
    EXPECT_TRUE(ended_with(outcome, 1)) << bad.flaw << "\n" << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(bad.says)) << bad.flaw;
  }
}

TEST_F(DispatchCheck, ExpertsThatNobodyHasAreNamed) {
  const Outcome outcome = check(0, CARAVAN_TEST_DISPATCHERS, {"dispatch/half", "--precision", "fp32"});
  EXPECT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.out, HasSubstr("WRONG  every expert is on one rank: expert 0 is on 0 ranks"));
}

/// What a key leaves no room for is not a mistake, but is said.
TEST_F(DispatchCheck, RowsWithoutRoomAreSaid) {
  const Outcome outcome = check(2, CARAVAN_FLAWED_PLUGINS, {"dispatch/all_to_all", "room=1"});
  EXPECT_TRUE(ended_with(outcome, 0)) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("-      all tokens to the last expert, f32: what is exchanged: not tried ("));
}

TEST_F(DispatchCheck, WrongUse) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"dispatch/local"}, "dispatch local on 2 ranks (it keeps 4 of 4 experts on each"},
      {{"layer/moe"}, "plugins check layer/moe on 2 ranks (it is the work of one process"},
      {{"dispatch/all_to_all", "rom=2"}, "Did you mean 'room'?"},
      {{"dispatch/all_to_all", "--device", "hosd"}, "hosd"},
  };
  for (const auto& [arguments, says] : cases) {
    const Outcome outcome = check(2, CARAVAN_FLAWED_PLUGINS, arguments);
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.out, Not(HasSubstr("WRONG")));
  }
}

}  // namespace
}  // namespace caravan::test

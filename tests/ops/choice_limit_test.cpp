#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/error.hpp"
#include "tests/ops/router_problem.hpp"
#include "tests/support/message_of.hpp"

// What experts with a capacity leave of the choices of a router.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

/// Choices of experts that are drawn at random: [T, K].
RouterProblem crowded(std::int64_t tokens, std::int64_t experts, std::int64_t top_k) {
  std::vector<float> logits;
  for (std::int64_t i = 0; i < tokens * experts; ++i)
    logits.push_back(static_cast<float>((i * 7919 + i / experts * 104'729) % 1009) *
                     (i % experts == 1 ? 2.f : 1.f));
  return {{.top_k = top_k}, Tensor({tokens, experts}, logits)};
}

/// The plain definition: going through a sequence token by token and choice by choice, an expert that has
/// taken `capacity` takes no more.
std::vector<bool> taken_by_hand(const RouterProblem& p, std::int64_t capacity, std::int64_t sequence_length) {
  std::vector<bool> taken;
  for (std::int64_t choice = 0; choice < p.tokens * p.rule.top_k; ++choice) {
    const std::int64_t sequence = choice / p.rule.top_k / sequence_length;
    std::int64_t before = 0;
    for (std::int64_t other = sequence * sequence_length * p.rule.top_k; other < choice; ++other)
      before += p.experts.values()[other] == p.experts.values()[choice] && taken[other];
    taken.push_back(before < capacity);
  }
  return taken;
}

/// Rows and offsets are those of the choices that are taken, and of no others.
void expect_rows_of_taken(const RouterProblem& p, const std::vector<bool>& taken) {
  const auto rows = std::count(taken.begin(), taken.end(), true);
  EXPECT_EQ(p.dropped, static_cast<double>(taken.size()) - rows);
  EXPECT_EQ(p.offsets.values().back(), rows);
  for (std::size_t choice = 0; choice < taken.size(); ++choice) {
    const std::int32_t row = p.row_of.values()[choice];
    ASSERT_EQ(row >= 0, taken[choice]) << choice;
    if (row < 0) continue;
    EXPECT_EQ(p.choice_of.values()[row], static_cast<std::int32_t>(choice));
    EXPECT_GE(row, p.offsets.values()[p.experts.values()[choice]]);
    EXPECT_LT(row, p.offsets.values()[p.experts.values()[choice] + 1]);
  }
  for (auto row = static_cast<std::size_t>(rows); row < taken.size(); ++row)
    EXPECT_EQ(p.choice_of.values()[row], -1);
}

TEST(ChoiceLimit, DropsTheLastChoicesOfEachSequenceBeyondTheCapacity) {
  RouterProblem p = crowded(60, 5, 2), all = crowded(60, 5, 2);

  p.forward();
  p.limit(7, 20);
  all.forward();

  EXPECT_EQ(p.experts.values(), all.experts.values());
  EXPECT_EQ(p.weights.values(), all.weights.values());  // not normalised anew
  EXPECT_EQ(p.counts.values(), all.counts.values());    // counted before dropping
  const std::vector<bool> taken = taken_by_hand(p, 7, 20);
  EXPECT_LT(std::count(taken.begin(), taken.end(), true), 100);
  expect_rows_of_taken(p, taken);
}

/// Each rank drops what one rank that has all of them does.
TEST(ChoiceLimit, DropsByTheOrderOfWholeSequencesWhereOthersRoutePartsOfThem) {
  constexpr std::int64_t kLength = 20, kSequences = 3, kTopK = 2, kCapacity = 7;
  RouterProblem whole = crowded(kLength * kSequences, 5, kTopK);
  whole.forward();
  const std::vector<bool> taken = taken_by_hand(whole, kCapacity, kLength);
  const std::vector<float> all_logits = whole.logits.values();
  std::int64_t tokens = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const TokenMap here = TokenMap::context(0, kLength, 3, rank);
    std::vector<float> logits;
    std::vector<bool> taken_here;
    for (std::int64_t t = 0; t < kSequences * here.length(); ++t) {
      const std::int64_t token = here.token(t);
      const auto row = all_logits.begin() + token * 5;
      logits.insert(logits.end(), row, row + 5);
      for (std::int64_t k = 0; k < kTopK; ++k) taken_here.push_back(taken[token * kTopK + k]);
    }
    RouterProblem part(whole.rule, Tensor({kSequences * here.length(), 5}, logits));
    part.forward();
    part.limit(kCapacity, kLength, whole.experts, here);
    expect_rows_of_taken(part, taken_here);
    tokens += part.tokens;
  }
  EXPECT_EQ(tokens, whole.tokens);
}

TEST(ChoiceLimit, ACapacityForAllDropsNothing) {
  RouterProblem p = crowded(60, 5, 2), all = crowded(60, 5, 2);

  p.forward();
  p.limit(20, 20);
  all.forward();

  EXPECT_EQ(p.dropped, 0);
  EXPECT_EQ(p.row_of.values(), all.row_of.values());
  EXPECT_EQ(p.choice_of.values(), all.choice_of.values());
  EXPECT_EQ(p.offsets.values(), all.offsets.values());
}

TEST(ChoiceLimit, RefusesALimitOfTokensThatAreNotThere) {
  RouterProblem p = crowded(20, 5, 2);
  p.forward();
  const auto problem = [&](std::int64_t capacity, const TokenMap& here) {
    return message_of<DeviceError>([&] { p.limit(capacity, 20, p.experts, here); });
  };
  EXPECT_THAT(problem(0, TokenMap::whole(0, 20)), HasSubstr("capacity 0 of sequences of 20 tokens"));
  EXPECT_THAT(problem(1, TokenMap::whole(1, 20)), HasSubstr("tokens [20, 40) of 20"));
}

}  // namespace
}  // namespace caravan::testing

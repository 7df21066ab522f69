#include <gtest/gtest.h>

#include "caravan/metrics.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

TEST(StepRecord, KeepsTheOrderOfTheFirstSetAndTheValueOfTheLast) {
  StepRecord record;
  record.set("loss", 1.0);
  record.set("tokens_seen", std::int64_t{7});
  record.set("loss", 2.0);

  ASSERT_EQ(record.values().size(), 2u);
  EXPECT_EQ(record.values()[0].first, "loss");
  EXPECT_EQ(std::get<double>(record.values()[0].second), 2.0);
  EXPECT_EQ(std::get<std::int64_t>(*record.find("tokens_seen")), 7);
  EXPECT_EQ(record.find("grad_norm"), nullptr);
}

TEST(StepRecord, ForgetsWhatTheNextStepDoesNotReport) {
  StepRecord record;
  for (const char* key : {"a", "b", "c"}) record.set(key, 1.0);
  record.clear();
  EXPECT_TRUE(record.values().empty());
  EXPECT_EQ(record.find("a"), nullptr);

  for (const char* key : {"c", "d", "a"}) record.set(key, 2.0);

  std::string keys;
  for (const auto& [key, value] : record.values()) {
    keys += key;
    EXPECT_EQ(std::get<double>(value), 2.0) << key;
  }
  EXPECT_EQ(keys, "cda");
  EXPECT_EQ(record.find("b"), nullptr);
}

TEST(StepRecord, RefusesAKeyThatWouldNeedEscaping) {
  StepRecord record;
  EXPECT_NE(testing::message_of([&] { record.set("a\"b", 1.0); }), "");
  EXPECT_NE(testing::message_of([&] { record.set("", 1.0); }), "");
}

}  // namespace
}  // namespace caravan

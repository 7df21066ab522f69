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

TEST(StepRecord, RefusesAKeyThatWouldNeedEscaping) {
  StepRecord record;
  EXPECT_NE(testing::message_of([&] { record.set("a\"b", 1.0); }), "");
  EXPECT_NE(testing::message_of([&] { record.set("", 1.0); }), "");
}

}  // namespace
}  // namespace caravan

#include "jobs/plot/step_line.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "caravan/error.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using jobs::Curve;
using jobs::read_step_line;

TEST(StepLine, HasTheNumbersThatAreDrawn) {
  const auto values = read_step_line(
      R"({"step": 7, "wall_time_s": 1.5, "loss": 4.25, "grad_norm": 2, "learning_rate": 1e-3, "tokens_per_s": 9})");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->step, 7);
  EXPECT_EQ(values->at(Curve::loss), 4.25);
  EXPECT_EQ(values->at(Curve::grad_norm), 2);
  EXPECT_EQ(values->at(Curve::learning_rate), 1e-3);
  EXPECT_EQ(values->at(Curve::tokens_per_second), 9);
  EXPECT_TRUE(std::isnan(values->at(Curve::validation_loss))) << "absent";
  EXPECT_TRUE(std::isnan(values->at(Curve::expert_imbalance)));
}

TEST(StepLine, NullWasNotFinite) {
  EXPECT_TRUE(std::isinf(read_step_line(R"({"step": 7, "loss": null})")->at(Curve::loss)));
}

TEST(StepLine, BalanceIsThatOfTheWorstLayer) {
  const auto values = read_step_line(
      R"({"step": 1, "layers.0.moe.tokens_per_expert/0": 10, "layers.0.moe.tokens_per_expert/1": 10,)"
      R"( "layers.1.moe.tokens_per_expert/0": 15, "layers.1.moe.tokens_per_expert/1": 5})");
  EXPECT_DOUBLE_EQ(values->at(Curve::expert_imbalance), 1.5);
}

TEST(StepLine, BalanceIsWhatTheRecordSaysWhereItHasNoCounts) {
  EXPECT_DOUBLE_EQ(read_step_line(R"({"step": 1, "expert_imbalance": 1.25})")->at(Curve::expert_imbalance),
                   1.25);
}

TEST(StepLine, WhatIsNoRecordIsNothing) {
  for (const char* line :
       {"", "{", "[]", "7", "null", "{\"loss\": 1}", "{\"step\": \"1\"}", "{\"step\": -1}", "{\"step\": 1.5}",
        "{\"step\": 99999999999999999999}", "{\"step\": 9223372036854775807}",
        "{\"step\": 1, \"loss\": 1e999}", "{\"step\": 1} {\"step\": 2}", "[{\"step\": 1}]", "\xff\xfe",
        "{\"step\": 1, \"loss\": NaN}"})
    EXPECT_FALSE(read_step_line(line)) << line;
}

TEST(StepLine, WhatStandsDeeperIsPassedOver) {
  const auto values = read_step_line(R"({"step": 1, "more": {"loss": 3, "step": 9, "a": [1, {"loss": 4}]}})");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->step, 1);
  EXPECT_TRUE(std::isnan(values->at(Curve::loss)));
  const std::string deep(1 << 20, '[');
  EXPECT_FALSE(read_step_line("{\"step\": 1, \"a\": " + deep));
}

TEST(Curves, AreNamedOnceAndRefusedWithTheNearest) {
  EXPECT_EQ(jobs::curves_of({"norm", "loss", "norm"}), (std::vector<Curve>{Curve::grad_norm, Curve::loss}));
  EXPECT_NE(message_of<ConfigError>([] { jobs::curves_of({"los"}); }).find("Did you mean loss?"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { jobs::curves_of({""}); }).find("known: loss, validation"),
            std::string::npos);
}

}  // namespace
}  // namespace caravan::test

#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {

/// Of losses and norms in fp32 over 10 steps, whatever the layout.
inline constexpr double kLayoutTolerance = 1e-5;

/// Fails unless ten steps of one layout, with validations after steps 5 and 10, are those of another.
inline void expect_equal_steps(const std::vector<nlohmann::json>& ours,
                               const std::vector<nlohmann::json>& alone) {
  ASSERT_EQ(ours.size(), 10u);
  ASSERT_EQ(alone.size(), 10u);
  for (const char* key : {"loss", "grad_norm", "balance_loss", "learning_rate"}) {
    EXPECT_LE(largest_relative_difference(series(ours, key), series(alone, key)), kLayoutTolerance) << key;
  }
  EXPECT_EQ(series(ours, "valid_tokens"), series(alone, "valid_tokens"));
  for (std::size_t step : {4, 9}) {
    const double validation = alone[step].at("validation_loss");
    EXPECT_NEAR(ours[step].at("validation_loss"), validation, kLayoutTolerance * validation);
  }
  for (std::size_t step = 0; step < alone.size(); ++step) {
    for (const auto& [key, value] : alone[step].items()) {
      if (key.find('/') == std::string::npos) continue;
      EXPECT_EQ(ours[step].at(key), value) << key << " of step " << step + 1;
    }
  }
}

}  // namespace caravan::test

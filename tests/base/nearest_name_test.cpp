#include <gtest/gtest.h>

#include "caravan/config.hpp"

namespace caravan {
namespace {

TEST(NearestName, FindsTyposSwapsAndOtherSpellings) {
  const std::vector<std::string> names = {"learning_rate", "steps", "dualpipe_v", "seed"};

  EXPECT_EQ(nearest_name("learnign_rate", names), "learning_rate");
  EXPECT_EQ(nearest_name("step", names), "steps");
  EXPECT_EQ(nearest_name("DualPipe-V", names), "dualpipe_v");
  EXPECT_EQ(nearest_name("dualpipev", names), "dualpipe_v");
}

TEST(NearestName, GivesNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("checkpoint", {"steps", "seed"}), "");
  EXPECT_EQ(nearest_name("", {"a"}), "");
  EXPECT_EQ(nearest_name("x", {"y"}), "");
  EXPECT_EQ(nearest_name("ab", {"xy"}), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), {std::string(100'000, 'a')}), "");
}

}  // namespace
}  // namespace caravan

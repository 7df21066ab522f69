#include <cmath>
#include <limits>

#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class StatisticsView : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    std::vector<float> values = {1, -2, 0, 4, 0, 0};
    values[4] = std::numeric_limits<float>::infinity();
    path_ = SmallCheckpoint(folder_.path(), 1)
                .add("/model/good.weight", {3, 4}, {2})
                .add("/model/bad.weight", values, {2, 3})
                .add("/optimizer/m/good.weight", {5, 12}, {2})
                .commit();
  }
  std::string path_;
};

TEST_F(StatisticsView, IsATableOfTheModel) {
  const Outcome outcome = inspect({path_, "--stats"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("0 NaN, 1 Inf, the first at [1, 1]"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("optimizer")));
}

TEST_F(StatisticsView, GivesEveryNumberAsJson) {
  const json shown = inspect_json({path_, "--stats", "--tensors", "good.*"});
  ASSERT_EQ(shown["tensors"].size(), 2u);
  EXPECT_EQ(shown["tensors"][0]["name"], "/model/good.weight");
  EXPECT_EQ(shown["tensors"][0]["norm"], 5.0);
  EXPECT_EQ(shown["tensors"][0]["mean"], 3.5);
  EXPECT_EQ(shown["tensors"][0]["std"], 0.5);
  EXPECT_EQ(shown["tensors"][1]["norm"], 13.0);
}

}  // namespace
}  // namespace caravan::test

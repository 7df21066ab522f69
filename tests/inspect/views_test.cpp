#include <cmath>
#include <fstream>
#include <limits>

#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// Two layers of two experts each.
class Views : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    path_ = SmallCheckpoint(folder_.path(), 1)
                .add("/model/layers.0.attention.wq.weight", {3, 4}, {2})
                .add("/model/layers.0.attention.wk.weight", {12}, {1})
                .add("/model/layers.0.moe.experts.w1", {3, 4, 0, 0, 6, 8, 0, 0}, {2, 4})
                .add("/model/layers.10.attention.wq.weight", {8, 15}, {2})
                .add("/model/norm.weight", {1, 1, 1, std::numeric_limits<float>::quiet_NaN()}, {4})
                .add("/state/layers.0.moe.expert_bias", {0.25f, -0.25f}, {2})
                .commit();
  }
  std::string picture(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), path_);
    arguments.insert(arguments.end(), {"--svg", file("picture.svg")});
    const Outcome outcome = inspect(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return slurp(file("picture.svg"));
  }
  std::string path_;
};

TEST_F(Views, HistogramCountsEveryFiniteElement) {
  const json shown = inspect_json({path_, "--histogram", "--tensors", "*experts.w1", "--bins", "4"});
  const json& tensor = shown["tensors"][0];
  EXPECT_EQ(tensor["counts"], (json{4, 1, 1, 2})) << "0 0 0 0 | 3 | 4 | 6 8, bins of width 2";
  EXPECT_EQ(tensor["low"], 0.0);
  EXPECT_EQ(tensor["high"], 8.0);
  const Outcome flat = inspect({path_, "--histogram", "--tensors", "norm.weight"});
  EXPECT_THAT(flat.out, HasSubstr("1 not finite and left out"));
}

TEST_F(Views, HistogramsAreDrawnWithAxes) {
  const std::string svg = picture({"--histogram", "--tensors", "layers.0.*"});
  EXPECT_THAT(svg, HasSubstr("/model/layers.0.attention.wq.weight [2]"));
  EXPECT_THAT(svg, HasSubstr("elements a bin"));
  EXPECT_THAT(svg, HasSubstr("</svg>"));
}

TEST_F(Views, NormsAreThoseOfLayersAndKinds) {
  const json shown = inspect_json({path_, "--norms"});
  ASSERT_EQ(shown["layers"].size(), 2u);
  EXPECT_EQ(shown["layers"][0]["kinds"]["attention"]["norm"], 13.0);
  EXPECT_EQ(shown["layers"][0]["kinds"]["expert"]["norm"], std::sqrt(125.0));
  EXPECT_EQ(shown["layers"][1]["layer"], 10);
  EXPECT_EQ(shown["layers"][1]["all"]["norm"], 17.0);
  EXPECT_EQ(shown["outside"]["norm.weight"]["not_finite"], 1);
  const std::string svg = picture({"--norms"});
  EXPECT_THAT(svg, HasSubstr("attention"));
  EXPECT_THAT(svg, HasSubstr(">layer<"));
}

TEST_F(Views, ExpertsSayWhatACheckpointDoesNotHold) {
  const Outcome outcome = inspect({path_, "--experts"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("it holds no token counts"));
  EXPECT_THAT(outcome.out, HasSubstr("metrics.jsonl has no step 1"));
  const json layer = inspect_json({path_, "--experts"})["layers"][0];
  EXPECT_EQ(layer["bias"], (json{0.25, -0.25}));
  EXPECT_EQ(layer["weights_rms"], (json{2.5, 5.0}));
  EXPECT_EQ(layer["tokens"], nullptr);
  EXPECT_THAT(picture({"--experts"}), Not(HasSubstr("Tokens")));
}

TEST_F(Views, ExpertsTakeTokenCountsFromTheRunsMetrics) {
  std::ofstream(file("metrics.jsonl")) << "{\"step\": 0, \"layers.0.moe.tokens_per_expert/0\": 9}\n"
                                          "{\"step\": 1, \"layers.0.moe.tokens_per_expert/0\": 6, "
                                          "\"layers.0.moe.tokens_per_expert/1\": 2, \"loss\": 1}\n";
  const json layer = inspect_json({path_, "--experts"})["layers"][0];
  EXPECT_EQ(layer["tokens"], (json{6.0, 2.0}));
  EXPECT_EQ(layer["balance"]["most_of_mean"], 1.5);
  EXPECT_EQ(layer["balance"]["std_of_mean"], 0.5);
  EXPECT_EQ(layer["balance"]["idle"], 0);
  EXPECT_THAT(picture({"--experts"}), HasSubstr("Tokens / mean"));
}

TEST_F(Views, ExpertsTakeRowsOfRanksAndDropsFromTheRunsMetrics) {
  std::ofstream(file("metrics.jsonl")) << "{\"step\": 1, \"dropped_rows\": 30, \"dropped_share\": 0.125, "
                                          "\"expert_rows_sent\": 240, \"expert_rows_received_most\": 300, "
                                          "\"expert_rank_imbalance\": 1.25}\n";
  const json experts = inspect_json({path_, "--experts"});
  EXPECT_EQ(experts["rank_rows"], (json{{"sent", 240.0}, {"received_most", 300.0}, {"imbalance", 1.25}}));
  EXPECT_EQ(experts["dropped"], (json{{"rows", 30.0}, {"share", 0.125}}));
  const std::string text = inspect({path_, "--experts"}).out;
  EXPECT_THAT(text, HasSubstr("300 received by the rank with most, which sent 240 (1.250 of even routing)"));
  EXPECT_THAT(text, HasSubstr("Dropped beyond capacity: 30 rows, 12.50 % of all choices"));
}

TEST_F(Views, ExpertsSayNothingOfRanksAndDropsThatTheMetricsDoNotKnow) {
  std::ofstream(file("metrics.jsonl"))
      << "{\"step\": 1, \"dropped_rows\": \"many\", \"expert_rows_sent\": 240}\n";
  const json experts = inspect_json({path_, "--experts"});
  EXPECT_EQ(experts["rank_rows"], nullptr);
  EXPECT_EQ(experts["dropped"], nullptr);
  EXPECT_THAT(inspect({path_, "--experts"}).out, Not(HasSubstr("between ranks")));
}

TEST_F(Views, ExpertsThatTheCheckpointDoesNotHaveAreNotTakenFromTheMetrics) {
  std::ofstream(file("metrics.jsonl")) << "{\"step\": 1, \"layers.0.moe.tokens_per_expert/99999999\": 9, "
                                          "\"layers.0.moe.tokens_per_expert/1\": 2, "
                                          "\"layers.77.moe.tokens_per_expert/4\": 2, \"dropped_rows\": 3, "
                                          "\"dropped_share\": 7, \"expert_rows_sent\": -1, "
                                          "\"expert_rows_received_most\": 3, \"expert_rank_imbalance\": 1}\n";
  const json experts = inspect_json({path_, "--experts"});
  EXPECT_EQ(experts["layers"][0]["tokens"], (json{0.0, 2.0}));
  EXPECT_EQ(experts["rank_rows"], nullptr);
  EXPECT_EQ(experts["dropped"], nullptr);
}

TEST_F(Views, ADamagedLineOfMetricsIsNoLine) {
  std::ofstream(file("metrics.jsonl")) << "{\"step\": 1, \"layers.0.moe.tokens_per_expert/0\": 6";
  EXPECT_EQ(inspect_json({path_, "--experts"})["layers"][0]["tokens"], nullptr);
}

TEST_F(Views, ShowPrintsAPart) {
  EXPECT_EQ(inspect({path_, "--show", "layers.0.moe.experts.w1[:,0:2]"}).out,
            "/model/layers.0.moe.experts.w1 f32 [2, 2]\n3 4\n6 8\n");
  EXPECT_EQ(inspect_json({path_, "--show", "layers.0.moe.experts.w1[1]"})["values"],
            (json{6.0, 8.0, 0.0, 0.0}));
  EXPECT_EQ(inspect({path_, "--show", "norm.weight[9]"}).code, 2);
}

TEST_F(Views, OptionsThatDoNotFitAreRefused) {
  EXPECT_EQ(inspect({path_, "--stats", "--norms"}).code, 2);
  const Outcome outcome = inspect({path_, "--stats", "--svg", file("x.svg")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--svg without a picture"));
  EXPECT_EQ(inspect({path_, "--norms", "--tensors", "norm.weight"}).code, 2);
  EXPECT_EQ(inspect({path_, "--histogram", "--bins", "0"}).code, 2);
  EXPECT_EQ(inspect({path_, "--norms", "--svg", file("no/such/folder.svg")}).code, 3);
}

}  // namespace
}  // namespace caravan::test

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "caravan/error.hpp"
#include "jobs/schedule/query.hpp"
#include "jobs/schedule/summary.hpp"
#include "jobs/schedule/svg.hpp"
#include "jobs/schedule/text.hpp"
#include "jobs/schedule/trace.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTwoRanks = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1";
constexpr const char* kOverlapped = "0F0,1F0,(0F1;1I0)OVERLAP_F_B,1W0,0B0,1F1,1B1,0B1";

Plan plan_of(const std::string& csv) {
  return parse_schedule_csv(csv, "test");
}

std::string drawn_text(const std::string& csv, const jobs::TextStyle& style = {}) {
  const Plan plan = plan_of(csv);
  return jobs::draw_text(plan, simulate(plan, {{{}}}), {}, style);
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string svg_of(const std::string& csv, const jobs::Caption& caption = {"a title", jobs::kCostUnit}) {
  const Plan plan = plan_of(csv);
  return jobs::draw_svg(plan, simulate(plan, {{{}}}), caption);
}

/// Tags that are opened and not closed, as far as this picture has any.
int open_tags(const std::string& svg) {
  int open = 0;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const std::size_t end = svg.find('>', at);
    if (svg[at + 1] == '/')
      --open;
    else if (svg[end - 1] != '/')
      ++open;
  }
  return open;
}

TEST(DrawText, OneCellForTheShortestStep) {
  EXPECT_EQ(drawn_text(kTwoRanks),
            "rank 0 F0 F1       B0---    B1---\n"
            "rank 1    F0 B0--- F1 B1---\n");
}

TEST(DrawText, LaterStagesOfARankAreSmallLetters) {
  EXPECT_EQ(drawn_text(kOverlapped), "rank 0 F0 f0 F1i0- w0 B0--- f1 b1--- B1---\n");
}

TEST(DrawText, GoesOnBelowWhenItIsTooWide) {
  EXPECT_EQ(drawn_text(kTwoRanks, {40, jobs::Ink::plain}), drawn_text(kTwoRanks));
  std::string row = "0F0";
  for (int i = 1; i < 20; ++i) row += ",0F" + std::to_string(i);
  const std::string text = drawn_text(row, {47, jobs::Ink::plain});
  EXPECT_THAT(text,
              HasSubstr("       from 0 units of cost\nrank 0 F0  F1  F2  F3  F4  F5  F6  F7  F8  F9\n"));
  EXPECT_THAT(text,
              HasSubstr("       from 10 units of cost\nrank 0 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19\n"));
}

TEST(DrawText, ColoursEndBeforeTheLineDoes) {
  const std::string text = drawn_text(kTwoRanks, {80, jobs::Ink::colour});
  EXPECT_EQ(count(text, "\033[0m\n"), 2);
  EXPECT_THAT(text, HasSubstr("F0 F1 \033[0m   "));
  EXPECT_THAT(text, Not(HasSubstr("--")));
}

TEST(DrawText, IsLeftOutWhenNobodyCouldReadIt) {
  std::string row = "0F0";
  for (int i = 1; i < 9000; ++i) row += ",0F" + std::to_string(i);
  EXPECT_EQ(drawn_text(row), "");
  std::string ranks;
  for (int i = 0; i < 65; ++i) ranks += std::to_string(i) + "F0\n";
  EXPECT_EQ(drawn_text(ranks), "");
}

TEST(DrawSvg, HasOneTitledGroupAStepAndClosesItsTags) {
  const std::string svg = svg_of(kTwoRanks);
  EXPECT_EQ(count(svg, "<g><title>"), 8);
  EXPECT_EQ(open_tags(svg), 0);
  EXPECT_THAT(svg, HasSubstr("<title>rank 1: 1B0, 2 to 4 units of cost</title>"));
  EXPECT_EQ(svg.rfind("</svg>\n"), svg.size() - 7);
}

TEST(DrawSvg, TheCaptionSaysBubbleAndPeakStashes) {
  const std::string svg = svg_of(kTwoRanks, {"1f1b of <mine> & co", "ms"});
  EXPECT_THAT(svg, HasSubstr("1f1b of &lt;mine> &amp; co"));
  EXPECT_THAT(svg, HasSubstr("bubble 33.3 % · makespan 9 ms · peak stashes 2 1"));
}

TEST(DrawSvg, ALongTitleIsCutAndStandsWholeInAHint) {
  const std::string title = "csv of " + std::string(200, 'x') + " for me";
  const std::string svg = svg_of(kTwoRanks, {title, "s"});
  EXPECT_THAT(svg, HasSubstr("<title>" + title + "</title>"));
  EXPECT_EQ(count(svg, "csv of " + std::string(150, 'x')), 1) << "in the hint alone";
  EXPECT_THAT(svg, HasSubstr("xx for me<title>"));
}

TEST(DrawSvg, KindsAreToldApartAndOnlyThoseThatOccurAreExplained) {
  const std::string svg = svg_of(kOverlapped);
  std::set<std::string> fills;
  for (std::size_t at = svg.find("fill=\"#"); at != std::string::npos; at = svg.find("fill=\"#", at + 1))
    fills.insert(svg.substr(at + 6, 7));
  EXPECT_GE(fills.size(), 8U);
  for (const char* entry : {"F: forward", "W: gradient of the weights", "B: I and W together", "overlapped",
                            "idle", "lighter: later stages"})
    EXPECT_THAT(svg, HasSubstr(entry));
  EXPECT_THAT(svg, Not(HasSubstr("I: gradient of the input")));
  EXPECT_THAT(svg_of(kTwoRanks), Not(HasSubstr("lighter")));
}

TEST(DrawSvg, StepsWithoutTimeAreLeftOut) {
  EXPECT_EQ(count(svg_of("0F0,0B0,0REDUCE_GRAD"), "<g>"), 2);
}

TEST(DrawSvg, TimesHaveUnitsThatAreReadWell) {
  const Plan plan = plan_of("0F0,0B0");
  Timeline timeline{{{{0.001, 0.0015}, {0.0015, 0.004}}}, 0.004};
  const std::string svg = jobs::draw_svg(plan, timeline, {"measured", "s"});
  EXPECT_THAT(svg, HasSubstr("bubble 25.0 % · makespan 4 ms"));
  EXPECT_THAT(svg, HasSubstr("<title>rank 0: 0F0, 1 to 1.5 ms</title>"));
  EXPECT_THAT(svg, HasSubstr(">ms</text>")) << "beside the axis";
  EXPECT_THAT(svg, HasSubstr(">0.5</text>"));
  EXPECT_THAT(svg_of(kTwoRanks), HasSubstr(">units of cost</text>"));
}

TEST(DrawSvg, RefusesWhatNoBrowserWouldOpen) {
  Plan plan{{{}}};
  for (int i = 0; i <= 100'000; ++i) plan.steps[0].push_back({{0, ActionKind::forward, i}, {}});
  EXPECT_THAT(message_of<ConfigError>([&] { jobs::draw_svg(plan, simulate(plan, {{{}}}), {}); }),
              HasSubstr("a picture of 100001 steps (at most 100000)"));
}

TEST(Trace, IsJsonWithAProcessARankAndASliceAStep) {
  const Plan plan = plan_of(kOverlapped);
  const auto trace = nlohmann::json::parse(jobs::to_trace(plan, simulate(plan, {{{}}})));
  std::map<std::string, nlohmann::json> slices;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("ph") == "X") slices[event.at("name")] = event;
  EXPECT_EQ(slices.size(), 8U);
  EXPECT_EQ(slices.at("0F1 + 1I0").at("cat"), "overlap");
  EXPECT_EQ(slices.at("0F1 + 1I0").at("ts"), 2e6);
  EXPECT_EQ(slices.at("0F1 + 1I0").at("dur"), 2e6);
  EXPECT_EQ(slices.at("1W0").at("args"), (nlohmann::json{{"stage", 1}, {"microbatch", 0}}));
}

TEST(Trace, StepsWithoutTimeAreInstants) {
  const Plan plan = plan_of("0F0,0SEND_F0\n1RECV_F0,1F0");
  const auto trace = nlohmann::json::parse(jobs::to_trace(plan, simulate(plan, {{{}}})));
  int instants = 0;
  for (const auto& event : trace.at("traceEvents")) instants += event.at("ph") == "i" ? 1 : 0;
  EXPECT_EQ(instants, 2);
}

/// Two gathers that are under way at once, and one after them.
std::vector<jobs::StepDetails> details_of_two_ranks() {
  const ActionKind gather = ActionKind::unshard, sum = ActionKind::reduce_gradients;
  jobs::StepDetails details{{{ActionKind::forward, "attention", "layers.\"0\"", {0, 1}}},
                            {{gather, "gather of a", "", {0, 2}, Lane::shard},
                             {gather, "gather of b", "", {1, 3}, Lane::shard},
                             {sum, "sum of <a>", "", {2, 10}, Lane::shard}}};
  return {details, {}};
}

TEST(Details, OfWhatIsUnderWayAtOnceLieInRowsOfTheirOwn) {
  EXPECT_THAT(jobs::rows_of(details_of_two_ranks()[0].exchanges), ::testing::ElementsAre(0, 1, 0));
  EXPECT_THAT(jobs::rows_of({}), ::testing::IsEmpty());
}

TEST(Details, AreRowsOfTheTraceOfTheirRank) {
  const Plan plan = plan_of(kTwoRanks);
  const auto trace =
      nlohmann::json::parse(jobs::to_trace(plan, simulate(plan, {{{}}}), details_of_two_ranks()));
  std::map<std::string, nlohmann::json> slices;
  std::map<int, std::string> rows;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X") slices[event.at("name")] = event;
    if (event.at("name") == "thread_name" && event.at("pid") == 0)
      rows[event.at("tid")] = event.at("args").at("name");
  }
  EXPECT_THAT(rows,
              ::testing::ElementsAre(std::pair(0, "actions"), std::pair(1, "layers"),
                                     std::pair(2, "shard lane"), std::pair(3, "shard lane, 2 under way")));
  EXPECT_EQ(slices.at("attention").at("args").at("layer"), "layers.\"0\"");
  EXPECT_EQ(slices.at("attention").at("tid"), 1);
  EXPECT_EQ(slices.at("gather of b").at("tid"), 3);
  EXPECT_EQ(slices.at("gather of b").at("dur"), 2e6);
  EXPECT_EQ(slices.at("gather of b").at("cat"), "UNSHARD");
}

TEST(Details, OfRowsHaveALaneOfTheirOwnForEachKind) {
  const Plan plan = plan_of(kTwoRanks);
  std::vector<jobs::StepDetails> details = details_of_two_ranks();
  details[0].exchanges.push_back({ActionKind::backward_input, "dispatch", "layers.1", {4, 5}, Lane::expert});
  details[0].exchanges.push_back({ActionKind::backward_input, "gather", "layers.1", {6, 7}, Lane::tensor});
  const Timeline timeline = simulate(plan, {{{}}});
  std::map<int, std::string> rows;
  int row_of_dispatch = 0;
  const auto trace = nlohmann::json::parse(jobs::to_trace(plan, timeline, details));
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("name") == "thread_name" && event.at("pid") == 0)
      rows[event.at("tid")] = event.at("args").at("name");
    if (event.at("name") == "dispatch") row_of_dispatch = event.at("tid");
  }
  EXPECT_EQ(row_of_dispatch, 4);
  EXPECT_EQ(rows[4], "expert lane");
  EXPECT_EQ(rows[5], "tensor lane");
  const std::string svg = jobs::draw_svg(plan, timeline, {"a title", "s"}, details);
  EXPECT_THAT(svg, HasSubstr("<title>rank 0: dispatch of layers.1, 4 to 5 s</title>"));
  EXPECT_THAT(svg, HasSubstr("below: rows between ranks"));
}

TEST(Details, AreBarsBelowTheActionsAndStretchTheTimeAxis) {
  const Plan plan = plan_of(kTwoRanks);
  const Timeline timeline = simulate(plan, {{{}}});
  const std::string svg = jobs::draw_svg(plan, timeline, {"a title", "s"}, details_of_two_ranks());
  EXPECT_THAT(svg, HasSubstr("<title>rank 0: gather of b, 1 to 3 s</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>rank 0: sum of &lt;a>, 2 to 10 s</title>"));
  EXPECT_THAT(svg, HasSubstr("below: sums of gradients"));
  EXPECT_THAT(svg, HasSubstr(">10</text>")) << "the sum ends after the last action, at 9 s";
  EXPECT_THAT(svg, HasSubstr("makespan 9 s"));
  EXPECT_EQ(open_tags(svg), 0);
  EXPECT_THAT(svg_of(kTwoRanks), Not(HasSubstr("below:")));
}

TEST(Summary, SaysWhatTheTimelineSays) {
  const Plan plan = plan_of(kTwoRanks);
  const Timeline timeline = simulate(plan, {{{}}});
  EXPECT_EQ(jobs::summary_text(plan, timeline, {"title", "s"}),
            "title\n"
            "steps         8\n"
            "stages        2 (of each rank: 0 | 1)\n"
            "makespan      9 s\n"
            "bubble        33.3 %\n"
            "peak stashes  2 1\n");
  const auto json = nlohmann::json::parse(jobs::summary_json(plan, timeline, {"title", "s"}));
  EXPECT_EQ(json.at("makespan"), 9);
  EXPECT_EQ(json.at("idle"), (std::vector<double>{3, 3}));
  EXPECT_EQ(json.at("peak_stashes"), (std::vector<int>{2, 1}));
  EXPECT_EQ(json.at("stages_of"), (std::vector<std::vector<int>>{{0}, {1}}));
}

TEST(Summary, ListsFewRanksOnly) {
  EXPECT_EQ(jobs::peak_text({3, 2, 1}), "3 2 1");
  EXPECT_EQ(jobs::peak_text(std::vector<int>(17, 5)), "5 (every rank)");
  std::vector<int> peaks(17, 5);
  peaks[3] = 9;
  peaks[16] = 1;
  EXPECT_EQ(jobs::peak_text(peaks), "at most 9 (rank 3), at least 1 (rank 16)");
}

TEST(Costs, AreReadByName) {
  const jobs::CostQuery costs = jobs::parse_costs({"F=0.5", "W=2", "comm=0.25", "overlap=1"});
  EXPECT_EQ(costs.actions.forward, 0.5);
  EXPECT_EQ(costs.actions.backward_input, 1);
  EXPECT_EQ(costs.actions.backward_weight, 2);
  EXPECT_EQ(costs.actions.communication, 0.25);
  EXPECT_EQ(costs.overlap, 1);
}

TEST(Costs, OthersAreRefused) {
  const auto refusal = [](const std::string& text) {
    return message_of<ConfigError>([&] { jobs::parse_costs({text}); });
  };
  EXPECT_EQ(refusal("X=1"), "--cost 'X=1' (known: F=…, I=…, W=…, comm=…, overlap=…)");
  EXPECT_THAT(refusal("F"), HasSubstr("known: F=…"));
  EXPECT_EQ(refusal("F=-1"), "--cost 'F=-1' (a number from 0 to 1000000000)");
  EXPECT_THAT(refusal("I=nan"), HasSubstr("a number from 0"));
  EXPECT_EQ(refusal("overlap=2"), "--cost 'overlap=2' (a number from 0 to 1)");
}

}  // namespace
}  // namespace caravan::test

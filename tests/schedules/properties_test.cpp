#include <gtest/gtest.h>

#include <algorithm>

#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "core/plan/simulate.hpp"
#include "tests/schedules/formulas.hpp"
#include "tests/schedules/schedules.hpp"

namespace caravan::testing {
namespace {

constexpr int kMostRanks = 16, kMostMicrobatches = 64, kMostStagesPerRank = 4;
constexpr int kRanks[] = {1, 2, 3, 4, 5, 8, 16};

std::vector<PlanRequest> legal_requests(const std::string& name, int ranks) {
  const StagesPerRank stages = schedule(name)->stages_per_rank();
  std::vector<PlanRequest> requests;
  for (int v = stages.least; v <= std::min(stages.most, kMostStagesPerRank); ++v) {
    for (int m = 1; m <= kMostMicrobatches; ++m) {
      const PlanRequest request{.ranks = ranks, .microbatches = m, .stages_per_rank = v};
      if (is_legal(name, request)) requests.push_back(request);
    }
  }
  return requests;
}

std::string say(const PlanRequest& request) {
  return "ranks " + std::to_string(request.ranks) + ", micro-batches " +
         std::to_string(request.microbatches) + ", stages a rank " + std::to_string(request.stages_per_rank);
}

void expect_peak(const std::string& name, const PlanRequest& request, const Plan& plan) {
  const std::vector<int> peaks = peak_stashes(plan);
  if (!peak_is_by_rank(name)) {
    EXPECT_EQ(*std::max_element(peaks.begin(), peaks.end()), peak(name, request, 0));
    return;
  }
  for (int rank = 0; rank < request.ranks; ++rank) {
    EXPECT_EQ(peaks[static_cast<std::size_t>(rank)], peak(name, request, rank)) << "rank " << rank;
  }
}

void expect_bubble(const std::string& name, const PlanRequest& request, const Plan& plan) {
  const Timeline timeline = simulate(plan, {.stages = {{}}});
  const double work = 3.0 * request.stages_per_rank * request.microbatches;
  const int idle = bubble(name, request);
  EXPECT_EQ(timeline.makespan, work + idle);
  EXPECT_DOUBLE_EQ(timeline.bubble(), idle / (work + idle));
}

class EverySchedule : public ::testing::TestWithParam<std::string> {};

TEST_P(EverySchedule, IsCompleteAndKeepsToItsFormulas) {
  for (int ranks = 1; ranks <= kMostRanks; ++ranks) {
    for (const PlanRequest& request : legal_requests(GetParam(), ranks)) {
      SCOPED_TRACE(say(request));
      const Plan plan = plan_of(GetParam(), request);
      ASSERT_NO_THROW(check(plan, request.microbatches));
      ASSERT_NO_THROW(check_communication(place_communication(plan)));
      expect_bubble(GetParam(), request, plan);
      expect_peak(GetParam(), request, plan);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Schedules, EverySchedule, ::testing::ValuesIn(schedule_names()),
                         [](const auto& test) { return "Schedule_" + test.param; });

TEST(ScheduleFormulas, VBlocksHoldOnManyRanks) {
  for (const std::string name : {"v_half", "v_min"}) {
    for (int p = 17; p <= 70; ++p) {
      for (const int m : {1, 2, p / 2, p, 2 * p + 1}) {
        const PlanRequest request{.ranks = p, .microbatches = m, .stages_per_rank = 2};
        SCOPED_TRACE(name + ", " + say(request));
        const Plan plan = plan_of(name, request);
        expect_bubble(name, request, plan);
        expect_peak(name, request, plan);
      }
    }
  }
}

/// The longest time without work of a rank between its first and its last action: what the zero-bubble papers
/// call the bubble.
double longest_gap(const Plan& plan, const StageCosts& costs) {
  const Timeline timeline = simulate(plan, {.stages = {costs}});
  double longest = 0;
  for (const std::vector<Span>& row : timeline.spans) {
    double gap = row.back().end - row.front().begin;
    for (const Span& span : row) gap -= span.end - span.begin;
    longest = std::max(longest, gap);
  }
  return longest;
}

TEST(ScheduleFormulas, ZeroBubbleSchedulesHaveTheGapsOfTheirPapers) {
  for (const int p : kRanks) {
    const PlanRequest request{.ranks = p, .microbatches = 4 * p + 1};
    PlanRequest two_stages = request;
    two_stages.stages_per_rank = 2;

    EXPECT_EQ(longest_gap(plan_of("zb_h1", request), {}), p - 1) << p;
    EXPECT_EQ(longest_gap(plan_of("zb_h2", request), {}), 0) << p;
    EXPECT_EQ(longest_gap(plan_of("zbv", two_stages), {}), 0) << p;
  }
}

TEST(ScheduleFormulas, ZeroBubbleSchedulesHoldForUnequalTimesWhileWIsTheShortest) {
  const StageCosts costs{.forward = 4, .backward_input = 5, .backward_weight = 3};
  for (const int p : kRanks) {
    const PlanRequest request{.ranks = p, .microbatches = 4 * p};
    PlanRequest two_stages = request;
    two_stages.stages_per_rank = 2;

    EXPECT_EQ(longest_gap(plan_of("zb_h1", request), costs), (p - 1) * (4 + 5 - 3)) << p;
    EXPECT_EQ(longest_gap(plan_of("zb_h2", request), costs), (p - 1) * (4 + 5 - 2 * 3)) << p;
    EXPECT_EQ(longest_gap(plan_of("interleaved_zero_bubble", two_stages), costs), (p - 1) * (4 + 5 - 3)) << p;
  }
}

TEST(ScheduleFormulas, SchedulesWithoutASplitBackwardHoldForUnequalTimes) {
  const StageCosts costs{.forward = 2, .backward_input = 5, .backward_weight = 1};
  for (const std::string name : {"gpipe", "1f1b", "interleaved_1f1b", "looped_bfs"}) {
    for (const int p : kRanks) {
      const int stages = schedule(name)->stages_per_rank().usual;
      const Plan plan = plan_of(name, {.ranks = p, .microbatches = 3 * p, .stages_per_rank = stages});
      EXPECT_EQ(simulate(plan, {.stages = {costs}}).idle(0), (p - 1) * (2 + 5 + 1)) << name << " " << p;
    }
  }
}

TEST(ScheduleFormulas, DualPipeVHasItsPublishedBubbleWhateverOverlapGains) {
  for (const int p : kRanks) {
    const Plan plan = plan_of("dualpipev", {.ranks = p, .microbatches = 3 * p, .stages_per_rank = 2});
    for (const double overlap : {0.0, 0.5, 1.0}) {
      const Timeline timeline = simulate(plan, {.stages = {{}}, .overlap = overlap});
      double longest = 0;
      for (int rank = 0; rank < p; ++rank) longest = std::max(longest, timeline.idle(rank));
      const double pair = 3 - overlap;  // F&B, of F = 1 and B = 2
      EXPECT_DOUBLE_EQ(longest, (p - 1) * (pair + 2 - 3)) << p << " ranks, overlap " << overlap;
    }
  }
}

}  // namespace
}  // namespace caravan::testing

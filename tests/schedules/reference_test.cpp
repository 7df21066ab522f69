#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>

#include "tests/schedules/schedules.hpp"

namespace caravan::testing {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::string> kNames = {
    {"ScheduleGPipe", "gpipe"},
    {"Schedule1F1B", "1f1b"},
    {"ScheduleInterleaved1F1B", "interleaved_1f1b"},
    {"ScheduleLoopedBFS", "looped_bfs"},
    {"ScheduleInterleavedZeroBubble", "interleaved_zero_bubble"},
    {"ScheduleZBVZeroBubble", "zbv"},
    {"ScheduleDualPipeV", "dualpipev"},
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Reference {
  std::string path, name;
  PlanRequest request;
  Plan plan;
};

/// The files such as "ScheduleZBVZeroBubble_pp2_v2_mb4.compute.csv" whose last part is `kind`.
std::vector<Reference> references(const fs::path& folder, const std::string& kind) {
  const std::regex form(R"((Schedule\w+)_pp(\d+)_v(\d+)_mb(\d+)\.)" + kind + R"(\.csv)");
  std::vector<Reference> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    std::smatch part;
    if (!std::regex_match(file, part, form)) continue;
    found.push_back({entry.path(),
                     kNames.at(part[1]),
                     {.ranks = std::stoi(part[2]),
                      .microbatches = std::stoi(part[4]),
                      .stages_per_rank = std::stoi(part[3])},
                     parse_schedule_csv(read(entry.path()), file)});
  }
  return found;
}

/// What PyTorch's table of Schedule1F1B says of the last rank: it counts forwards from one.
std::vector<Step> with_pytorchs_defect(std::vector<Step> row) {
  for (Step& step : row) {
    if (step.action.kind == ActionKind::forward) ++step.action.microbatch;
  }
  return row;
}

/// The folder of PyTorch's plans, or "".
std::string folder_of_references() {
  const char* folder = std::getenv("CARAVAN_REFERENCE_DIR");
  const fs::path schedules = fs::path(folder ? folder : "") / "schedules";
  return fs::exists(schedules) ? schedules.string() : "";
}

TEST(ScheduleReference, EveryComputePlanOfPyTorchIsReproducedActionForAction) {
  const std::string folder = folder_of_references();
  if (folder.empty()) GTEST_SKIP() << "CARAVAN_REFERENCE_DIR has no schedules";
  std::map<std::string, int> compared;

  for (const Reference& reference : references(folder, "compute")) {
    SCOPED_TRACE(reference.path);
    const Plan plan = plan_of(reference.name, reference.request);
    ASSERT_EQ(plan.ranks(), reference.plan.ranks());
    for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
      const bool defect = reference.name == "1f1b" && rank + 1 == plan.steps.size();
      const auto row = defect ? with_pytorchs_defect(plan.steps[rank]) : plan.steps[rank];
      EXPECT_EQ(text_of(row), text_of(reference.plan.steps[rank])) << "rank " << rank;
    }
    ++compared[reference.name];
  }

  EXPECT_EQ(compared.size(), kNames.size()) << "a schedule of PyTorch has no reference";
}

TEST(ScheduleReference, CsvReadsTheLoweredFilesAsTheSchedulesThatTheyCameFrom) {
  const std::string folder = folder_of_references();
  if (folder.empty()) GTEST_SKIP() << "CARAVAN_REFERENCE_DIR has no schedules";
  const std::vector<Reference> lowered = references(folder, "comms");
  ASSERT_FALSE(lowered.empty());

  for (const Reference& reference : lowered) {
    SCOPED_TRACE(reference.path);
    Plan plan = schedule("csv", reference.path)->build(reference.request);
    for (std::vector<Step>& row : plan.steps) {
      std::erase_if(row, [](const Step& step) { return step.action.kind == ActionKind::reduce_gradients; });
    }
    EXPECT_EQ(to_csv(plan), to_csv(plan_of(reference.name, reference.request)));
  }
}

}  // namespace
}  // namespace caravan::testing

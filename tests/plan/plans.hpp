#pragma once

#include <random>
#include <string>
#include <vector>

#include "caravan/schedule.hpp"

namespace caravan::test {

inline Action forward(int stage, int microbatch) {
  return {stage, ActionKind::forward, microbatch};
}
inline Action backward(int stage, int microbatch) {
  return {stage, ActionKind::backward, microbatch};
}

/// Reads a plan written in the test; rows with '\n' between them.
inline Plan plan_of(const std::string& csv) {
  return parse_schedule_csv(csv, "test");
}

Plan gpipe(int ranks, int microbatches);
Plan one_f_one_b(int ranks, int microbatches);

/// A valid plan of stages thrown on ranks at random: at each turn a random action whose inputs are there.
/// Backwards are B, or I and W apart.
Plan random_plan(std::mt19937& random);

/// What random_plan() chose.
int microbatches_in(const Plan& plan);

/// CARAVAN_REFERENCE_DIR/schedules; empty when there is none.
std::string reference_folder();
std::string read_text(const std::string& path);
/// Files of the folder whose names end in `ending`, sorted.
std::vector<std::string> reference_files(const std::string& ending);

}  // namespace caravan::test

#pragma once

#include <cstdint>
#include <string>

#include "caravan/comm.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// Where the export of a step stands: `<output>/export/step-…` for a checkpoint of the weights, else in a
/// folder of its format.
std::string export_path(const Job& job, std::int64_t step);

/// [every rank] Converts the checkpoint of the step, which is complete, to the export's format.
void convert_export(const Job& job, std::int64_t step, Communicator& world);

}  // namespace caravan::jobs

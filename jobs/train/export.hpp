#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "caravan/comm.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// Where the export of a step stands: `<output>/export/step-…` for a checkpoint of the weights, else in a
/// folder of its format.
std::string export_path(const Job& job, std::int64_t step);

/// What stands at export_path().
enum class ExportState {
  absent,
  complete,  ///< this run's export of that step, as the job says
  other      ///< nothing of a run is replaced
};
/// [every rank] The same on all.
ExportState export_state(const Job& job, std::int64_t step, Communicator& world);

/// [every rank] ConfigError when something else stands where the last step's export will.
void check_export_is_free(const Job& job, Communicator& world);

/// [every rank] Converts the checkpoint of the step, which is complete, to the export's format. `report` is
/// called at each block.
void convert_export(const Job& job, std::int64_t step, Communicator& world, std::function<void()> report);

}  // namespace caravan::jobs

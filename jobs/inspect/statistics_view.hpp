#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/statistics.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// Reads a tensor once.
Statistics statistics_of(const TensorSource& source, const TensorEntry& tensor);

nlohmann::ordered_json to_json(const Statistics& statistics);

/// min, max, mean, standard deviation, norms, zeros, and what is not finite, of the chosen tensors.
Report statistics_view(const Subject& subject, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs

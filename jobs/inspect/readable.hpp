#pragma once

#include <string>
#include <vector>

#include "jobs/inspect/names.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// The tensors that a view of values is about, and those among them whose elements cannot be read.
struct ReadableTensors {
  std::vector<const TensorEntry*> readable, skipped;
};

/// `choose_of_model`, sorted out.
ReadableTensors choose_readable(const NameFilter& filter, const std::vector<TensorEntry>& tensors);

/// A line for each that was skipped, with the reason.
std::string skipped_text(const ReadableTensors& chosen);
nlohmann::ordered_json skipped_json(const ReadableTensors& chosen);

}  // namespace caravan::jobs

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/selection.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// What an .npy file stores elements as: numpy has no bf16, which becomes f32 without loss.
io::NumberType npy_element_of(io::NumberType stored);

/// The head of an .npy file of version 1.0. Source: numpy.lib.format.
std::string npy_header(io::NumberType element, const std::vector<std::uint64_t>& extents);

/// Writes a selection of a tensor for numpy, block by block. The file appears whole or not at all.
void write_npy(const TensorSource& source, const Selection& selection, const std::string& path);

/// `tensor` of the options to `file`.
Report export_view(const Subject& subject, const InspectOptions& options);

}  // namespace caravan::jobs

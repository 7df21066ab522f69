#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "caravan/metrics.hpp"

namespace caravan::io {

inline constexpr std::size_t kMostRecordBytes = std::size_t{64} << 20;

/// The line of a step that a JsonLinesSink wrote, whatever stands behind the step; nothing where the file or
/// the step is missing.
std::optional<std::string> find_record_line(const std::string& path, std::int64_t step);

/// The record of a step that a JsonLinesSink wrote; nothing where the file or the step is missing. IoError
/// when its line is no such record.
std::optional<StepRecord> find_record(const std::string& path, std::int64_t step);

}  // namespace caravan::io

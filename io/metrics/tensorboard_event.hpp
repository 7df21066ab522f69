#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "caravan/metrics.hpp"

namespace caravan::io {

/// The messages of TensorBoard's `Event` that a run of scalars and texts needs, in protobuf's wire format.
/// Source of the field numbers: tensorflow/core/util/event.proto and framework/summary.proto.
std::string file_version_event(double wall_time_s);
/// Says that steps from `first_step` on are written anew; TensorBoard then forgets what older files hold of
/// them.
std::string session_start_event(double wall_time_s, std::int64_t first_step);
/// One scalar a value, under its key.
std::string scalars_event(double wall_time_s, const StepRecord& record);
/// Prompt and text as the text plugin shows them: a string tensor of rank 0, in Markdown, both as they are in
/// blocks of code. Source: tensorboard/plugins/text/summary_v2.py and metadata.py,
/// tensorflow/core/framework/tensor.proto.
std::string text_event(double wall_time_s, const TextRecord& record);

/// Length, checksum of the length, data, checksum of the data. Source:
/// tensorflow/core/lib/io/record_writer.h.
std::string framed_record(std::string_view data);

}  // namespace caravan::io

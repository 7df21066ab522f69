#include "io/metrics/tensorboard_sink.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "caravan/check.hpp"
#include "io/files/host_name.hpp"
#include "io/metrics/tensorboard_event.hpp"
#include "io/metrics/wall_time.hpp"

namespace caravan::io {
namespace {

std::string make_path(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  CARAVAN_CHECK(!error, IoError, fmt::format("cannot make folder {} ({})", folder, error.message()));
  return fmt::format("{}/events.out.tfevents.{:010}.{}.{}", folder, static_cast<std::int64_t>(wall_time_s()),
                     host_name("localhost"), ::getpid());
}

}  // namespace

TensorBoardSink::TensorBoardSink(const std::string& folder, std::int64_t first_step)
    : path_(make_path(folder)), file_(path_, 0) {
  file_.append(framed_record(file_version_event(wall_time_s())));
  file_.append(framed_record(session_start_event(wall_time_s(), first_step)));
}

void TensorBoardSink::write(const StepRecord& record) {
  file_.append(framed_record(scalars_event(wall_time_s(), record)));
}

void TensorBoardSink::write_text(const TextRecord& record) {
  file_.append(framed_record(text_event(wall_time_s(), record)));
}

}  // namespace caravan::io

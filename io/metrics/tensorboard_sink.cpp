#include "io/metrics/tensorboard_sink.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <system_error>

#include "caravan/check.hpp"
#include "io/files/host_name.hpp"
#include "io/metrics/tensorboard_event.hpp"

namespace caravan::io {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string make_path(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  CARAVAN_CHECK(!error, IoError, fmt::format("cannot make folder {} ({})", folder, error.message()));
  return fmt::format("{}/events.out.tfevents.{:010}.{}.{}", folder, static_cast<std::int64_t>(now_s()),
                     host_name("localhost"), ::getpid());
}

}  // namespace

TensorBoardSink::TensorBoardSink(const std::string& folder, std::int64_t first_step)
    : path_(make_path(folder)), file_(path_, 0) {
  file_.append(framed_record(file_version_event(now_s())));
  file_.append(framed_record(session_start_event(now_s(), first_step)));
}

void TensorBoardSink::write(const StepRecord& record) {
  file_.append(framed_record(scalars_event(now_s(), record)));
}

}  // namespace caravan::io

#include "plugins/device/cuda/device/recording.hpp"

#include <cupti.h>
#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "caravan/error.hpp"

namespace caravan::cuda {
namespace {

void check(CUptiResult result, const char* call) {
  if (result == CUPTI_SUCCESS) return;
  const char* text = "unknown";
  cuptiGetResultString(result, &text);
  throw DeviceError(fmt::format("{}: {} (error {} of CUPTI). Does another profiler run this program?", call,
                                text, static_cast<int>(result)));
}

/// CUPTI hands buffers to plain functions on a thread of its own, so what they fill has to be global.
struct Records {
  std::mutex mutex;
  std::vector<DeviceActivity> activities;
};

Records& records() {
  static Records all;
  return all;
}

constexpr std::size_t kBufferBytes = std::size_t{4} << 20, kAlignment = 8;
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                                         CUPTI_ACTIVITY_KIND_MEMSET};

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                         &std::free);
  return status == 0 ? text.get() : name;
}

template <class Activity>
DeviceActivity timed(std::string name, const CUpti_Activity* record) {
  const auto* activity = reinterpret_cast<const Activity*>(record);
  return {std::move(name), static_cast<std::int64_t>(activity->start),
          static_cast<std::int64_t>(activity->end)};
}

DeviceActivity read(const CUpti_Activity* record) {
  if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) return timed<CUpti_ActivityMemcpy6>("copy", record);
  if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) return timed<CUpti_ActivityMemset4>("fill", record);
  const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
  DeviceActivity activity = timed<CUpti_ActivityKernel10>(demangled(kernel->name), record);
  activity.is_exchange = activity.name.starts_with("ncclDevKernel");
  return activity;
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *most_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> owned(buffer, &std::free);
  const std::lock_guard lock(records().mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    records().activities.push_back(read(record));
  }
}

}  // namespace

void start_recording() {
  check(cuptiActivityRegisterCallbacks(&give_buffer, &take_buffer), "cuptiActivityRegisterCallbacks");
  for (CUpti_ActivityKind kind : kKinds) check(cuptiActivityEnable(kind), "cuptiActivityEnable");
  const std::lock_guard lock(records().mutex);
  records().activities.clear();
}

std::vector<DeviceActivity> stop_recording() {
  for (CUpti_ActivityKind kind : kKinds) check(cuptiActivityDisable(kind), "cuptiActivityDisable");
  check(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cuptiActivityFlushAll");
  const std::lock_guard lock(records().mutex);
  std::vector<DeviceActivity> all = std::move(records().activities);
  records().activities.clear();
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.start_ns < b.start_ns; });
  return all;
}

}  // namespace caravan::cuda

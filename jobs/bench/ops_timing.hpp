#pragma once

#include <functional>

#include "caravan/device.hpp"

namespace caravan::jobs {

struct TimingRule {
  int least_repeats = 7;
  double least_seconds = 0.2;
};

/// Median time of one call of `work`, after two calls that are not counted; on a device with queues a call
/// lasts until the queue is empty, and short calls are timed several at a time.
double median_seconds(Device& device, const std::function<void()>& work, const TimingRule& rule = {});

}  // namespace caravan::jobs

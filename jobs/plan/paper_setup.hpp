#pragma once

#include <string>
#include <vector>

#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// The job of a setup with other values, each as it would be typed. ConfigError where they cannot be.
Job changed_job(const TrainSetup& setup, const std::vector<std::string>& changes);

/// What a job would need, on one of `ranks` ranks that are not running. Borrows the device.
class PaperSetup {
 public:
  PaperSetup(const Job& job, int rank, int ranks, Device& device)
      : world_(rank, ranks),
        setup_(job, world_, [&](Registry&, const Job&) { return Made<Device>(&device, [](void*) {}); }) {}
  TrainSetup& setup() noexcept { return setup_; }

 private:
  PaperWorld world_;
  TrainSetup setup_;
};

}  // namespace caravan::jobs

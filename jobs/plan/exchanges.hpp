#pragma once

#include <cstdint>
#include <string>

#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// What a rank exchanges with others in one step, besides single numbers. Bytes are those that it sends,
/// which are as many as it receives.
struct StepExchanges {
  struct Item {
    std::int64_t times = 0;
    double bytes = 0;
  };
  Item gathers;     ///< of weights that ranks divide
  Item reductions;  ///< of gradients, into stretches
  Item replicas;    ///< sums of gradients over ranks that keep the same: bytes alone, as buckets join
  Item messages;    ///< to the stages before and after
};
StepExchanges step_exchanges(TrainSetup& setup);
/// As a table; empty where the rank exchanges nothing.
std::string describe(const StepExchanges& exchanges);

}  // namespace caravan::jobs

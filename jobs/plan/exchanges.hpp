#pragma once

#include <cstdint>
#include <string>

#include "core/run/step_traffic.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// What a step of this rank's plan will gather and sum, of each parameter group that ranks divide.
StepTraffic planned_traffic(TrainSetup& setup);

/// What a rank exchanges with others in one step, besides single numbers. Bytes are those that it sends,
/// which are as many as it receives.
struct StepExchanges {
  struct Item {
    std::int64_t times = 0;
    double bytes = 0;
  };
  Item gathers;     ///< of weights that ranks divide
  Item reductions;  ///< of gradients, into stretches
  Item table;       ///< tokens, and rows of the gradient of the table that they are looked up in
  Item replicas;    ///< sums of gradients over ranks that keep the same: bytes alone, as buckets join
  Item repeated;    ///< sums of gradients that tensor ranks make of the same weights: bytes alone
  Item matrices;    ///< parts of what an optimizer sees whole: of stretches, and of slices
  Item tensor;      ///< rows among tensor ranks and keys among context ranks: gathered, and summed
  Item rows;        ///< of tokens to their experts and back, as even routing has them
  Item messages;    ///< to the stages before and after
};
StepExchanges step_exchanges(TrainSetup& setup);
/// How tensors of a device get to other ranks: "over NCCL 2.28.3".
std::string way_between_ranks(const Device& device);
/// As a table; empty where the rank exchanges nothing.
std::string describe(const StepExchanges& exchanges, const std::string& way);

}  // namespace caravan::jobs

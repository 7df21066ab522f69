#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/run/stash.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// What a rank will hold, known before anything is allocated.
struct MemoryPlan {
  struct Item {
    std::string what;
    std::size_t bytes = 0;
  };
  std::vector<Item> items;
  std::size_t total() const;
  /// A table: item, bytes.
  std::string describe() const;
};

/// Memory of training: weights, gradients, optimizer slots, constants, activations of `in_flight`
/// micro-batches, batches of `microbatches`, validation, and what the process holds besides.
struct MemoryDemand {
  BatchShape shape;
  int in_flight = 1;
  std::int64_t microbatches = 1;
  std::size_t optimizer_slots = 0;
  int data_ranks = 1;
  bool validates = false;
};
MemoryPlan plan_memory(ModelInstance& model, const MemoryDemand& demand);

}  // namespace caravan::jobs

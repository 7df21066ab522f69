#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/lower.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// What a rank will hold, known before anything is allocated.
struct MemoryPlan {
  struct Item {
    std::string what;
    std::size_t bytes = 0;
    std::string note{};  ///< behind them, for people
  };
  std::vector<Item> items;  ///< where tensors are
  std::vector<Item> host;   ///< of the host besides, where the device has memory of its own
  std::size_t total() const;
  /// A table: item, bytes.
  std::string describe() const;
};

/// Memory of training on this rank: weights, gradients, optimizer slots, constants, activations of the plan's
/// micro-batches, their tokens, validation, and what the process holds besides.
struct MemoryDemand {
  const RankPlan& training;
  const RankPlan* validation;  ///< null: none
  BatchShape shape;
  std::size_t optimizer_slots = 0;
  std::size_t whole_matrices = 0;  ///< of an optimizer that sees them
  std::size_t samples = 0;         ///< what texts are decoded in, the cache included
  int data_ranks = 1;
  std::size_t row_sums = 0;        ///< what comes of other ranks' rows while one sum of them is made
  std::size_t snapshot = 0;        ///< of a checkpoint that is written beside training
  Memory memory = Memory::host;    ///< of the device
  bool has_own_exchanges = false;  ///< its tensors do not go through host memory
};
MemoryPlan plan_memory(ModelInstance& model, const MemoryDemand& demand);

}  // namespace caravan::jobs

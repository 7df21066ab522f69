#pragma once

#include <cstdint>
#include <span>

#include "caravan/arena.hpp"
#include "core/run/stage_runner.hpp"

namespace caravan::jobs {

/// Scalars and boundaries that a stage on paper reads and writes beside its stash.
struct PaperSurroundings {
  Arena memory;
  StepSums sums;
  TensorView squares, clip, input, output_gradient, ids;

  PaperSurroundings(Device& paper, const BatchShape& shape, std::int64_t width);
  /// Nobody reads them, so they take no memory either.
  std::span<const std::int32_t> ids_of_whole_sequences() const {
    return {ids.as<const std::int32_t>(), static_cast<std::size_t>(ids.count())};
  }
};

/// Whether tokens come with the document that each is of.
enum class Documents { no, yes };

/// Walks one micro-batch through a stage on paper, forward and backward. Where a layer's code ends the
/// process, which it does when it touches tensors that have no memory here, that is said of it first.
void walk_on_paper(Device& paper, Stage& stage, Stash& stash, const PaperSurroundings& around,
                   const TokenMap& map, Documents documents);

}  // namespace caravan::jobs

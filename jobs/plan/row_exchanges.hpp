#pragma once

#include "jobs/plan/exchanges.hpp"

namespace caravan::jobs {

/// What the layers of this rank send to other ranks in a step beside parameters, on that lane: rows to their
/// experts and back, or rows between tensor ranks. Repeated forwards are included.
StepExchanges::Item row_exchanges(TrainSetup& setup, Lane lane);

/// The most bytes that one exchange of rows between tensor or context ranks sends from a rank, and a sum
/// brings to it.
std::size_t largest_row_exchange(const ModelInstance& model, const BatchShape& shape);

}  // namespace caravan::jobs

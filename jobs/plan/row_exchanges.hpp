#pragma once

#include "jobs/plan/exchanges.hpp"

namespace caravan::jobs {

/// What the layers of this rank send to other ranks in a step beside parameters, on that lane: rows to their
/// experts and back, or rows between tensor ranks. Repeated forwards are included.
StepExchanges::Item row_exchanges(TrainSetup& setup, Lane lane);

/// The most bytes that one exchange of rows which takes memory of the host sends from a rank, and brings to
/// it: between tensor or context ranks, where rows may be summed; of tables, which are gathered alone, where
/// rows in a device's memory may go through the host.
std::size_t largest_row_exchange(const ModelInstance& model, const BatchShape& shape, Memory memory);

}  // namespace caravan::jobs

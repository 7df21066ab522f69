#pragma once

#include "jobs/plan/exchanges.hpp"

namespace caravan::jobs {

/// What the layers of this rank send to other ranks in a step beside parameters, on that lane: rows to their
/// experts and back, or rows between tensor ranks. Repeated forwards are included.
StepExchanges::Item row_exchanges(TrainSetup& setup, Lane lane);

}  // namespace caravan::jobs

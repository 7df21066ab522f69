#pragma once

#include "jobs/plan/exchanges.hpp"

namespace caravan::jobs {

/// What the layers of this rank send to other ranks in a step beside parameters: rows to their experts and
/// back, repeated forwards included.
StepExchanges::Item row_exchanges(TrainSetup& setup);

}  // namespace caravan::jobs

#pragma once

#include "caravan/config.hpp"

namespace caravan::jobs {

/// A stored model's keys for evaluating, whatever it was trained with: no dropout, no balance loss. Its
/// parameters stay those that are stored.
Config evaluated(Config model);
/// The same without noise at the routers, and without the parameters of it.
Config without_noise(Config model);

}  // namespace caravan::jobs

#pragma once

#include <string>
#include <vector>

#include "jobs/plot/picture.hpp"

namespace caravan::jobs {

/// Of one run: "loss 4.6142, validation loss 4.62 at step 180": the last values of its curves.
std::string last_values(const Picture& picture, std::size_t run);

}  // namespace caravan::jobs

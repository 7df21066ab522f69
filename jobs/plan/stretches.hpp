#pragma once

#include <string>

#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// ConfigError where some of `shards` ranks would keep nothing of the largest group of these parameters,
/// which `keys` divide. `remedy`: empty for fewer ranks.
void check_stretches(const ParameterStore& parameters, int shards, const std::string& keys,
                     const std::string& remedy);

/// The layer of a model for which check_stretches might refuse some of `pipeline` ranks, of which each may
/// have any one layer alone; empty: none. `whole`: all layers, with parameters in groups over `shards` ranks.
std::string layer_without_stretches(ModelInstance& whole, int shards, int pipeline);

}  // namespace caravan::jobs

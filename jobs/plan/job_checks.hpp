#pragma once

#include <string>
#include <vector>

#include "caravan/parameter.hpp"
#include "jobs/job/job.hpp"

// What keys of a job say of each other, and of the parameters of its model. ConfigError.
namespace caravan::jobs {

/// Keys of which one makes no sense with another.
void check_contradictions(const Job& job);

/// Parts of `model.lora` that no layer adapts, and adapters of which nobody trains one; `rule_of` says how a
/// parameter is updated.
void check_lora(const Job& job, const ParameterStore& parameters, const ParameterStore::RuleOf& rule_of);

/// What a job asks for without effect, or for more than it can use, a sentence each: groups of the optimizer
/// that are frozen under adapters, adapters of a rank that their matrices cannot have.
std::vector<std::string> idle_keys(const Job& job, const ParameterStore& whole_model);

}  // namespace caravan::jobs

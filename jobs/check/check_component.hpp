#pragma once

#include <string>

#include "caravan/comm.hpp"
#include "caravan/registry.hpp"
#include "jobs/check/findings.hpp"

namespace caravan::jobs {

/// A component that is to be checked.
struct CheckRequest {
  Registry& registry;
  std::string name;
  Config keys;                    ///< of its own table, checked by it
  std::string device;             ///< of dispatchers
  std::string precision;          ///< of dispatchers and layers
  Communicator* world = nullptr;  ///< the ranks, of a kind that is checked on several
};

/// Whether a kind's check is the work of all ranks that mpirun started. ConfigError for a kind without a
/// check, with what does its work.
bool is_checked_on_ranks(const std::string& kind);

/// Whether a kind's check computes in a precision that may be chosen. ConfigError as above.
bool has_precision(const std::string& kind);

/// Holds a component to what its interface promises. ConfigError for a kind without a check or keys that it
/// refuses; what it throws later is a finding.
void check_component(const std::string& kind, const CheckRequest& request, Findings& findings);

void check_data(const CheckRequest& request, Findings& findings);
void check_dispatch(const CheckRequest& request, Findings& findings);
void check_layer(const CheckRequest& request, Findings& findings);
void check_metrics(const CheckRequest& request, Findings& findings);
void check_optimizer(const CheckRequest& request, Findings& findings);
void check_schedule(const CheckRequest& request, Findings& findings);

}  // namespace caravan::jobs

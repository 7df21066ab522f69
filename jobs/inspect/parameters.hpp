#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "io/checkpoint/parameter_counts.hpp"
#include "io/checkpoint/reader.hpp"

namespace caravan::jobs {

/// The parameters of a checkpoint's model. Sparse, as in torchtitan: router, shared and routed experts; dense
/// is the rest.
struct Parameters {
  io::ParameterCounts counts;
  std::int64_t sparse = 0;
  std::int64_t routed = 0, routed_of_one = 0;  ///< all routed experts; one expert of every layer
  std::optional<std::int64_t> top_k;           ///< experts a token, from the job
  std::string no_top_k;                        ///< why that is not known

  /// What one token meets: everything but the routed experts that it is not sent to.
  std::optional<std::int64_t> active() const;
};

/// Counts come from the shapes in the checkpoint, experts a token from the job that it carries.
Parameters count_parameters(const io::CheckpointReader& reader);

std::string parameters_text(const Parameters& parameters);
nlohmann::ordered_json parameters_json(const Parameters& parameters);

}  // namespace caravan::jobs

#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>

#include "caravan/mesh.hpp"

namespace caravan::jobs {

/// How the ranks of a verb divide a model, as its options say. Ranks that are left take sequences in turn.
struct RankDegrees {
  std::int64_t tensor = 1, expert = 1, context = 1, pipeline = 1;
};

/// --tensor and --expert.
void declare_degrees(CLI::App& app, RankDegrees& degrees);
/// --context, of verbs that take whole sequences: a token that is decoded is on one rank.
void declare_context(CLI::App& app, RankDegrees& degrees);
/// --pipeline, of verbs that run a plan.
void declare_pipeline(CLI::App& app, RankDegrees& degrees);
/// [collective over world] ConfigError where the ranks do not divide so.
std::unique_ptr<Mesh> make_mesh(Communicator& world, const RankDegrees& degrees, Device& device);

}  // namespace caravan::jobs

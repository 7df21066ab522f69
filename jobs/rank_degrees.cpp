#include "jobs/rank_degrees.hpp"

#include "caravan/checked.hpp"
#include "jobs/command_numbers.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {

void declare_degrees(CLI::App& app, RankDegrees& degrees) {
  add_integer(app, "--tensor", degrees.tensor, "[1, 1048576]", "Ranks among which matrices are divided");
  add_integer(app, "--expert", degrees.expert, "[1, 1048576]", "Ranks among which experts are divided");
}

void declare_context(CLI::App& app, RankDegrees& degrees) {
  add_integer(app, "--context", degrees.context, "[1, 1048576]", "Ranks among which sequences are divided");
}

void declare_pipeline(CLI::App& app, RankDegrees& degrees) {
  add_integer(app, "--pipeline", degrees.pipeline, "[1, 65536]", "Ranks among which layers are divided");
}

std::unique_ptr<Mesh> make_mesh(Communicator& world, const RankDegrees& degrees, Device& device) {
  const MeshLayout layout({.pp = narrow<int>({"--pipeline", degrees.pipeline}),
                           .dp_shard = -1,
                           .cp = narrow<int>({"--context", degrees.context}),
                           .tp = narrow<int>({"--tensor", degrees.tensor}),
                           .ep = narrow<int>({"--expert", degrees.expert})},
                          world.size());
  return parallel::make_process_mesh(world, layout, device);
}

}  // namespace caravan::jobs

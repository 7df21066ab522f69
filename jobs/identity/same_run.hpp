#pragma once

#include "caravan/mesh.hpp"
#include "caravan/registry.hpp"
#include "jobs/identity/run_identity.hpp"

namespace caravan::jobs {

/// The run that goes on from a checkpoint. Borrows all.
struct GoingOn {
  const Job& job;  ///< resolved
  Registry& registry;
  const MeshLayout& layout;
  const RunIdentity& identity;
};
/// [every rank, the same on all] Compares the job and the identity that a checkpoint carries with those of
/// the run that goes on from it, and says in one line what changed. IoError naming the keys that change the
/// function or the order of samples and that the job does not allow to change. A checkpoint that does not say
/// what it was trained on is a warning.
void check_same_run(const io::CheckpointReader& reader, const GoingOn& run);

/// Refuses weights to start from (a path as for --model) that were trained with another tokenizer than the
/// data has.
void check_same_tokenizer(const std::string& initial_load, const Job& job, const RunIdentity& now);

}  // namespace caravan::jobs

#pragma once

#include <functional>
#include <string>

#include "caravan/mesh.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/sharded.hpp"
#include "jobs/job/job.hpp"
#include "jobs/state/checkpoint_share.hpp"

namespace caravan::jobs {

/// What of a run goes where, and how.
struct CheckpointTarget {
  std::string folder;  ///< of all steps
  CheckpointContent content = CheckpointContent::everything;
  DType weights = DType::f32;  ///< in the file
  enum class Writing { beside_training, at_once } writing = Writing::beside_training;
  enum class Files { shards, one } files = Files::shards;
  io::Keep keep;                         ///< latest 0: all
  std::string run{};                     ///< whose tokenizer goes into each checkpoint; empty: none
  io::CheckpointHead head{};             ///< of each checkpoint, but how far the run has come
  std::function<void()> report = [] {};  ///< called at each piece that is written at once
};

/// The checkpoints that a run of the resolved job goes on from.
CheckpointTarget checkpoints_of(const Job& job, const MeshLayout& layout);
/// The weights alone, for others.
CheckpointTarget export_of(const Job& job, const MeshLayout& layout);

}  // namespace caravan::jobs

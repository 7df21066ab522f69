#include "jobs/plan/paper_setup.hpp"

namespace caravan::jobs {

Job changed_job(const TrainSetup& setup, const std::vector<std::string>& changes) {
  Config tree = setup.job().resolved;
  if (setup.job().train.global_batch_size < 0) tree.override_with("train.global_batch_size=-1");
  for (const std::string& change : changes) tree.override_with(change);
  return resolve_job(std::move(tree));
}

}  // namespace caravan::jobs

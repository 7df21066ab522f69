#pragma once

#include <map>
#include <string>
#include <vector>

#include "jobs/identity/run_identity.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// Refuses what `train` on this many ranks would refuse before its first step, without a rank: layout, batch,
/// model, plan, optimizer, data, and the weights or the checkpoint that it would start from. Memory on the
/// device is not asked.
class PaperCheck {
 public:
  PaperCheck(int ranks, MakeDevice device) : ranks_(ranks), device_(std::move(device)) {}
  /// Throws what train would. Data that several jobs share are opened once.
  void check(const Job& job);
  struct Found {
    std::vector<std::string> data;  ///< what the run takes of it, in lines
    std::string start;              ///< "with the weights of …"
  };
  /// The same of rank 0's set-up on so many ranks, on paper or running.
  Found check(TrainSetup& setup);

 private:
  struct OpenedData {
    RunIdentity identity;
    std::vector<std::string> use;
  };
  void check_stages(TrainSetup& setup) const;
  /// What the run would be; the data are opened where they were not before.
  const OpenedData& open_data(TrainSetup& setup);

  int ranks_;
  MakeDevice device_;
  std::map<std::string, OpenedData> opened_;
};

/// Layout and batch alone, which no plugin and no file is needed for. ConfigError.
void check_layout(const Job& job, int ranks);

}  // namespace caravan::jobs

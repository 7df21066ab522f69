#pragma once

#include <string>
#include <vector>

#include "core/run/whereabouts.hpp"

namespace caravan::jobs {

/// What the ranks of a job that stands still tell each other when they can no longer talk: one file a rank in
/// a folder of the run, which exists only then. A rank that writes none is stopped, cut off or dead.
class HangReport {
 public:
  struct Rank {
    int rank = 0;
    double seconds = 0;  ///< since it began anything
    Whereabouts::Sight sight;
  };

  /// `hosts`: of each rank. Nothing is written yet.
  HangReport(std::string folder, std::vector<std::string> hosts);

  /// Some rank has written.
  bool exists() const;
  /// IoError when the disk refuses.
  void write(const Rank& own) const;
  /// Those that wrote, by their rank.
  std::vector<Rank> read() const;
  /// What everybody does: the silent ones first, then those that the others wait for.
  std::string describe(std::vector<Rank> ranks) const;
  /// Hosts of the ranks that are silent although others are not; each once.
  std::vector<std::string> silent_hosts(const std::vector<Rank>& ranks) const;

 private:
  std::vector<int> silent(const std::vector<Rank>& ranks) const;
  std::string name_of(int rank) const;

  std::string folder_;
  std::vector<std::string> hosts_;
};

}  // namespace caravan::jobs

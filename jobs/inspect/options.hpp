#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace caravan::jobs {

/// What a user wants to see.
enum class InspectView {
  overview,
  statistics,
  histogram,
  norms,
  experts,
  diff,
  verify,
  job,
  tokens,
  show,
  export_npy
};

/// The command line of `caravan inspect`, parsed.
struct InspectOptions {
  InspectView view = InspectView::overview;
  std::vector<std::string> paths;     ///< one; two for a diff
  std::vector<std::string> patterns;  ///< globs of tensor names; none: all that the view is about
  int depth = 0;                      ///< levels of the tree; 0: all
  int bins = 32;
  double rtol = 0, atol = 0;
  std::string tensor;  ///< of show and export: a name, maybe with a slice
  std::string file;    ///< of export
  std::string range;   ///< of tokens: "BEGIN:END"; empty: the first
  std::string svg;     ///< where a picture goes; empty: none
};

}  // namespace caravan::jobs

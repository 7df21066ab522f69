#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "jobs/drawing/panel.hpp"
#include "jobs/plot/curve.hpp"
#include "jobs/plot/run_records.hpp"

namespace caravan::jobs {

struct PictureOptions {
  std::vector<Curve> what;  ///< empty: loss, and validation loss where there is one
  std::int64_t from = 0, to = std::int64_t{1} << 53;
  std::int64_t smooth = 1;  ///< steps that a value is the mean of
  bool is_logarithmic = false;
};

/// Step and value; a value that is not finite is a gap.
using Points = std::vector<std::pair<double, double>>;

struct Series {
  std::size_t run = 0;  ///< of the picture's
  Curve curve = Curve::loss;
  Points points;

  /// Measured now and then: drawn as single marks.
  bool is_sparse() const noexcept { return curve == Curve::validation_loss; }
};

/// Curves that share axes.
struct Plot {
  std::string title, unit;
  std::vector<Series> series;
  PanelScale x, y;
};

/// What is drawn of some runs, whatever it is drawn on.
struct Picture {
  std::vector<std::string> runs;  ///< their names, as short as they differ
  std::vector<Plot> plots;
  std::vector<std::string> notes;  ///< what is not to be seen, in words
};

/// 0: "a", as curves are named by.
char letter_of(std::size_t run);
inline constexpr std::size_t kMostRuns = 26;

/// IoError where nothing of what is wanted was recorded, unless `wait`: then the plots are empty.
Picture make_picture(const std::vector<RunRecords>& runs, const PictureOptions& options,
                     RunRecords::Wait wait);

}  // namespace caravan::jobs

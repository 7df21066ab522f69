// metrics.jsonl of a run, with every picture that is made of it.
#include "jobs/plot/csv.hpp"
#include "jobs/plot/picture.hpp"
#include "jobs/plot/svg_picture.hpp"
#include "jobs/plot/terminal_picture.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

using namespace jobs;

void draw(const std::vector<RunRecords>& runs, const PictureOptions& options) {
  const Picture picture = make_picture(runs, options, RunRecords::Wait::yes);
  draw_svg(picture);
  draw_csv(picture);
  draw_text(picture, {20, 8}, {true, true});
  draw_text(picture, {80, 40}, {false, false});
}

void read(Input input) {
  const test::TemporaryFolder folder;
  test::spill(folder.file("metrics.jsonl"), std::string(text_of(input)));
  std::vector<RunRecords> runs;
  runs.emplace_back(folder.path(), RunRecords::Wait::no);
  PictureOptions options;
  draw(runs, options);
  options.what = curves_of({"loss", "validation", "lr", "norm", "tokens", "balance"});
  options.smooth = 3;
  draw(runs, options);
  options.is_logarithmic = true;
  draw(runs, options);
}

}  // namespace

const Target run_metrics{"run_metrics", read, {4 << 20, 512}};

}  // namespace caravan::fuzz

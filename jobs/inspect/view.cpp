#include "jobs/inspect/view.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "io/data/holds_shards.hpp"
#include "jobs/inspect/diff_view.hpp"
#include "jobs/inspect/experts_view.hpp"
#include "jobs/inspect/histogram_view.hpp"
#include "jobs/inspect/layer_norms_view.hpp"
#include "jobs/inspect/npy.hpp"
#include "jobs/inspect/overview.hpp"
#include "jobs/inspect/show.hpp"
#include "jobs/inspect/statistics_view.hpp"
#include "jobs/inspect/subject.hpp"
#include "jobs/inspect/token_data.hpp"
#include "jobs/inspect/tokens_view.hpp"
#include "jobs/inspect/verification.hpp"

namespace caravan::jobs {
namespace {

Report job_view(const Subject& subject) {
  const std::string job = required_checkpoint(subject, "--job").job_yaml();
  return {job, {{"path", subject.path}, {"job", job}}, "", 0};
}

bool has_picture(InspectView view) {
  return view == InspectView::histogram || view == InspectView::norms || view == InspectView::experts;
}

void check(const InspectOptions& options) {
  const std::size_t wanted = options.view == InspectView::diff ? 2 : 1;
  CARAVAN_CHECK(options.paths.size() == wanted, ConfigError,
                fmt::format("{} paths ({} takes {})", options.paths.size(),
                            wanted == 2 ? "--diff" : "this view", wanted));
  CARAVAN_CHECK(options.svg.empty() || has_picture(options.view), ConfigError,
                "--svg without a picture (--histogram, --norms and --experts have one)");
}

Report view_of(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  switch (options.view) {
    case InspectView::statistics:
      return statistics_view(subject, options, style);
    case InspectView::histogram:
      return histogram_view(subject, options, style);
    case InspectView::norms:
      return layer_norms_view(subject, options, style);
    case InspectView::experts:
      return experts_view(subject, options, style);
    case InspectView::job:
      return job_view(subject);
    case InspectView::show:
      return show_view(subject, options);
    case InspectView::export_npy:
      return export_view(subject, options);
    default:
      return overview(subject, options, style);
  }
}

}  // namespace

Report inspect(const InspectOptions& options, const TextStyle& style) {
  check(options);
  if (options.view == InspectView::verify) return verification(options, style);
  if (options.view == InspectView::diff) return diff_view(options, style);
  const std::string& path = options.paths.front();
  const bool is_of_tokens =
      options.view == InspectView::overview && std::filesystem::is_directory(path) && io::holds_shards(path);
  CARAVAN_CHECK(!is_of_tokens || (options.patterns.empty() && options.depth == 0), ConfigError,
                fmt::format("--tensors or --depth with {} (it holds token shards, which are shown as text). "
                            "Leave them out?",
                            path));
  if (options.view == InspectView::tokens || is_of_tokens) return tokens_view(path, options, style);
  return view_of(open_subject(path), options, style);
}

}  // namespace caravan::jobs

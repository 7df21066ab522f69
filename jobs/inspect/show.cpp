#include "jobs/inspect/show.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/number.hpp"
#include "jobs/inspect/selection.hpp"
#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kMostElements = 10'000;

std::string lines_of(const std::vector<Number>& values, std::uint64_t a_line) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool ends = (i + 1) % a_line == 0 || i + 1 == values.size();
    text += exact_text(values[i]) + (ends ? '\n' : ' ');
  }
  return text;
}

nlohmann::ordered_json to_json(const std::vector<Number>& values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Number& value : values) std::visit([&](const auto& number) { list.push_back(number); }, value);
  return list;
}

}  // namespace

Report show_view(const Subject& subject, const InspectOptions& options) {
  const Selection selection = parse_selection(options.tensor, subject.tensors());
  CARAVAN_CHECK(selection.box.extents.count() <= kMostElements, ConfigError,
                fmt::format("{} elements (at most {} are shown). A selection as in NAME[0:4,:], or --export?",
                            selection.box.extents.count(), kMostElements));
  std::vector<Number> values;
  ValueStream(*subject.source)
      .for_each_stored(*selection.tensor, selection.box, [&](const Block& block, std::uint64_t) {
        const auto count = static_cast<std::uint64_t>(block.count());
        for (std::uint64_t i = 0; i < count; ++i) values.push_back(number_at(block, i));
      });
  Report report;
  report.text = fmt::format("{} {} {}\n", printable(selection.tensor->name), selection.tensor->type,
                            shape_text(selection.shown)) +
                lines_of(values, selection.shown.empty() ? 1 : selection.shown.back());
  report.json = {{"path", subject.path},
                 {"tensor", selection.tensor->name},
                 {"dtype", selection.tensor->type},
                 {"shape", selection.shown},
                 {"values", to_json(values)}};
  return report;
}

}  // namespace caravan::jobs

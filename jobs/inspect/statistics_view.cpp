#include "jobs/inspect/statistics_view.hpp"

#include <fmt/format.h>

#include <cmath>

#include "jobs/drawing/axis.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/table.hpp"
#include "jobs/inspect/value_stream.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

std::string not_finite_text(const Statistics& s, const TensorEntry& tensor) {
  if (!s.first_not_finite) return "";
  return fmt::format("{} NaN, {} Inf, the first at {}", with_commas(static_cast<std::int64_t>(s.nans)),
                     with_commas(static_cast<std::int64_t>(s.infinities)),
                     index_text(tensor.extents, *s.first_not_finite));
}

/// Whole numbers to the last digit, as far as doubles hold them.
std::string element_text(double value, const TensorEntry& tensor) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  const bool is_whole = !is_float(*tensor.element) && std::abs(value) <= kExact;
  return is_whole ? fmt::format("{:.0f}", value) : number_text(value);
}

std::vector<std::string> row_of(const TensorEntry& tensor, const Statistics& s) {
  std::vector<std::string> row = {printable(tensor.name), tensor.type, shape_text(tensor.extents)};
  const auto cell = [&](double value) { return s.finite > 0 ? number_text(value) : "-"; };
  for (const double value : {s.min, s.max}) row.push_back(s.finite > 0 ? element_text(value, tensor) : "-");
  for (const double value : {s.mean, s.deviation(), s.norm()}) row.push_back(cell(value));
  row.push_back(s.finite > 0 ? element_text(s.absmax(), tensor) : "-");
  row.push_back(with_commas(static_cast<std::int64_t>(s.zeros)));
  row.push_back(not_finite_text(s, tensor));
  return row;
}

std::vector<std::string> row_of_unreadable(const TensorEntry& tensor) {
  std::vector<std::string> row = {printable(tensor.name), tensor.type, shape_text(tensor.extents)};
  row.insert(row.end(), 7, "-");
  row.push_back("skipped: " + printable(tensor.unreadable));
  return row;
}

}  // namespace

Statistics statistics_of(const TensorSource& source, const TensorEntry& tensor) {
  StatisticsSum sum;
  ValueStream(source).for_each_value(
      tensor, whole_of(tensor),
      [&](std::span<const double> values, std::uint64_t first) { sum.add(values, first); });
  return sum.result();
}

ordered_json to_json(const Statistics& s) {
  ordered_json object = {{"count", s.count}, {"finite", s.finite},         {"zeros", s.zeros},
                         {"nans", s.nans},   {"infinities", s.infinities}, {"first_not_finite", nullptr}};
  if (s.first_not_finite) object["first_not_finite"] = *s.first_not_finite;
  if (s.finite == 0) return object;
  object["min"] = s.min;
  object["max"] = s.max;
  object["mean"] = s.mean;
  object["std"] = s.deviation();
  object["norm"] = s.norm();
  object["rms"] = s.rms();
  object["absmax"] = s.absmax();
  return object;
}

Report statistics_view(const Subject& subject, const InspectOptions& options, const TextStyle& style) {
  Table table(
      {"tensor", "type", "shape", "min", "max", "mean", "std", "norm", "absmax", "zeros", "not finite"});
  Report report;
  report.json = {{"path", subject.path}, {"tensors", ordered_json::array()}};
  ProgressLine progress;
  for (const TensorEntry* tensor : choose_of_model(NameFilter(options.patterns), subject.tensors())) {
    ordered_json object = {{"name", tensor->name}, {"dtype", tensor->type}, {"shape", tensor->extents}};
    if (!tensor->element) {
      table.add(row_of_unreadable(*tensor));
      object["readable"] = false;
      object["why"] = tensor->unreadable;
    } else {
      progress.show(printable(tensor->name));
      const Statistics statistics = statistics_of(*subject.source, *tensor);
      table.add(row_of(*tensor, statistics), statistics.first_not_finite ? Tone::bad : Tone::plain);
      object.update(to_json(statistics));
    }
    report.json["tensors"].push_back(std::move(object));
  }
  report.text = table.text(style.ink);
  return report;
}

}  // namespace caravan::jobs

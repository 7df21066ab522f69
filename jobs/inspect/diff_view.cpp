#include "jobs/inspect/diff_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "caravan/check.hpp"
#include "jobs/drawing/axis.hpp"
#include "jobs/inspect/box.hpp"
#include "jobs/inspect/difference.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/subject.hpp"
#include "jobs/inspect/table.hpp"
#include "jobs/inspect/value_text.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

struct NaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const { return natural_less(a, b); }
};

/// What stands under one name in the two files; null on the side that lacks it.
struct Pair {
  const TensorEntry* a = nullptr;
  const TensorEntry* b = nullptr;
};
using Pairs = std::map<std::string, Pair, NaturalOrder>;

Pairs pairs_of(const Subject& a, const Subject& b, const NameFilter& filter) {
  Pairs pairs;
  for (const TensorEntry& tensor : a.tensors())
    if (filter.matches(tensor.name)) pairs[tensor.name].a = &tensor;
  for (const TensorEntry& tensor : b.tensors())
    if (filter.matches(tensor.name)) pairs[tensor.name].b = &tensor;
  return pairs;
}

class Difference {
 public:
  Difference(const Subject& a, const Subject& b, const InspectOptions& options)
      : a_(a),
        b_(b),
        filter_(options.patterns),
        tolerance_{options.rtol, options.atol},
        table_({"tensor", "difference", "changed", "of", "largest", "relative", "cosine", "largest at"}) {}

  Report report(Ink ink) {
    const Pairs pairs = pairs_of(a_, b_, filter_);
    CARAVAN_CHECK(filter_.chooses_all() || !pairs.empty(), ConfigError,
                  "no tensor of either file matches (caravan inspect PATH lists all)");
    ProgressLine progress;
    for (const auto& [name, pair] : pairs) {
      progress.show(printable(name));
      compare(name, pair);
    }
    compare_values_of_state();
    return made(pairs.size(), ink);
  }

 private:
  void compare(const std::string& name, const Pair& pair) {
    if (!pair.a || !pair.b) return note(name, pair.a ? "only in A" : "only in B");
    if (pair.a->extents != pair.b->extents)
      return note(name,
                  fmt::format("shape {} and {}", shape_text(pair.a->extents), shape_text(pair.b->extents)));
    const bool is_retyped = pair.a->type != pair.b->type;
    const std::string types = is_retyped ? fmt::format("type {} and {}", pair.a->type, pair.b->type) : "";
    if (!pair.a->element || !pair.b->element) return note_unreadable(name, pair, types);
    const ValueDifference values = compare_values({*a_.source, *pair.a}, {*b_.source, *pair.b}, tolerance_);
    if (values.changed > 0 || is_retyped) note(name, types.empty() ? "values" : types, *pair.a, values);
  }

  /// Two that hold nothing are the same.
  void note_unreadable(const std::string& name, const Pair& pair, const std::string& types) {
    const TensorEntry& unread = pair.a->element ? *pair.b : *pair.a;
    if (!types.empty()) return note(name, types);
    const bool are_empty =
        pair.a->bytes == 0 && pair.b->bytes == 0 && pair.a->unreadable == pair.b->unreadable;
    if (!are_empty) note(name, fmt::format("cannot be compared: {}", printable(unread.unreadable)));
  }

  void note(const std::string& name, const std::string& what) {
    table_.add({printable(name), what, "", "", "", "", "", ""});
    list_.push_back({{"name", name}, {"difference", what}});
  }

  void note(const std::string& name, const std::string& what, const TensorEntry& tensor,
            const ValueDifference& values) {
    const std::string at = values.largest_at ? index_text(tensor.extents, *values.largest_at) : "";
    table_.add({printable(name), what, with_commas(static_cast<std::int64_t>(values.changed)),
                with_commas(static_cast<std::int64_t>(values.count)), number_text(values.largest),
                number_text(values.largest_relative), fmt::format("{:.8g}", values.cosine), at});
    list_.push_back({{"name", name},
                     {"difference", what},
                     {"changed", values.changed},
                     {"count", values.count},
                     {"largest", values.largest},
                     {"largest_relative", values.largest_relative},
                     {"largest_index", nullptr},
                     {"cosine", values.cosine}});
    if (values.largest_at) list_.back()["largest_index"] = *values.largest_at;
  }

  /// Numbers and texts under /state, where both are checkpoints of ours.
  void compare_values_of_state() {
    const auto *a = a_.checkpoint(), *b = b_.checkpoint();
    if (!a || !b) return;
    std::set<std::string> names;
    for (const auto* reader : {a, b}) {
      for (const std::string& name : reader->attribute_names()) {
        if (filter_.matches(name)) names.insert(name);
      }
    }
    for (const std::string& name : names) {
      if (!a->has_attribute(name) || !b->has_attribute(name))
        note(name, a->has_attribute(name) ? "only in A" : "only in B");
      else if (a->attribute(name) != b->attribute(name))
        note(name, fmt::format("{} and {}", printable(value_text(a->attribute(name))),
                               printable(value_text(b->attribute(name)))));
    }
  }

  Report made(std::size_t compared, Ink ink) {
    Report report;
    report.exit_code = list_.empty() ? 0 : 1;
    report.json = {{"a", a_.path},
                   {"b", b_.path},
                   {"same", list_.empty()},
                   {"rtol", tolerance_.rtol},
                   {"atol", tolerance_.atol},
                   {"compared", compared},
                   {"differences", list_}};
    report.text = fmt::format("A {}\nB {}\n", a_.path, b_.path);
    if (list_.empty()) {
      report.text +=
          painted("the same: " + counted(static_cast<std::int64_t>(compared), "tensor"), Tone::good, ink) +
          "\n";
    } else {
      report.text += table_.text(ink) + fmt::format("{} differ; {} compared\n",
                                                    counted(static_cast<std::int64_t>(list_.size()),
                                                            "tensor or value", "tensors and values"),
                                                    counted(static_cast<std::int64_t>(compared), "tensor"));
    }
    return report;
  }

  const Subject &a_, &b_;
  NameFilter filter_;
  Tolerance tolerance_;
  Table table_;
  ordered_json list_ = ordered_json::array();
};

}  // namespace

Report diff_view(const InspectOptions& options, const TextStyle& style) {
  const Subject a = open_subject(options.paths.at(0)), b = open_subject(options.paths.at(1));
  return Difference(a, b, options).report(style.ink);
}

}  // namespace caravan::jobs

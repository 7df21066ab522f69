#include "jobs/plot/step_line.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace caravan::jobs {
namespace {

constexpr std::string_view kCounts = ".tokens_per_expert/";
/// Up to here doubles tell a step from the next, and an axis has room between them.
constexpr std::int64_t kLastStep = std::int64_t{1} << 52;

/// Tokens an expert of one layer after the other, as they stand together in a line.
class ExpertCounts {
 public:
  void add(std::string_view layer, double tokens) {
    if (layer != layer_) close();
    layer_ = layer;
    sum_ += tokens;
    most_ = std::max(most_, tokens);
    ++experts_;
  }
  /// Of the worst layer; absent where there was none with tokens.
  double imbalance() {
    close();
    return worst_;
  }

 private:
  void close() {
    // `>` would not take the first one, beside what is absent.
    if (sum_ > 0 && !(most_ * experts_ / sum_ <= worst_)) worst_ = most_ * experts_ / sum_;
    sum_ = most_ = experts_ = 0;
  }

  std::string layer_;
  double sum_ = 0, most_ = 0, experts_ = 0, worst_ = StepValues::kAbsent;
};

/// Takes the numbers of the outermost object as they come, so that a line of a million keys needs no memory.
class LineReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  LineReader() { values_.values.fill(StepValues::kAbsent); }

  std::optional<StepValues> result() {
    if (!has_step_) return std::nullopt;
    // The record says it too; files of versions before have the counts alone.
    if (const double counted = counts_.imbalance(); !std::isnan(counted))
      values_.at(Curve::expert_imbalance) = counted;
    return values_;
  }

  bool null() override { return take(StepValues::kNotFinite); }
  bool boolean(bool) override { return take_nothing(); }
  bool number_integer(number_integer_t number) override { return take_whole(number); }
  bool number_unsigned(number_unsigned_t number) override {
    return take_whole(static_cast<std::int64_t>(std::min<number_unsigned_t>(number, kLastStep + 1)));
  }
  bool number_float(number_float_t number, const string_t&) override { return take(number); }
  bool string(string_t&) override { return take_nothing(); }
  bool binary(binary_t&) override { return take_nothing(); }
  bool start_object(std::size_t) override { return ++depth_ > 0; }
  bool key(string_t& name) override {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override { return ++depth_ > 1; }  // an array is no record
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool take_nothing() const { return depth_ > 0; }
  bool take_whole(std::int64_t number) {
    if (depth_ != 1 || key_ != "step") return take(static_cast<double>(number));
    values_.step = number;
    return has_step_ = number >= 0 && number <= kLastStep;
  }
  bool take(double number) {
    if (depth_ != 1) return depth_ > 0;
    if (!std::isfinite(number)) number = StepValues::kNotFinite;
    for (std::size_t at = 0; at < kNumCurves; ++at) {
      if (key_ == text_of(static_cast<Curve>(at)).key) values_.values[at] = number;
    }
    const std::size_t mark = key_.find(kCounts);
    if (mark != std::string::npos && number >= 0 && std::isfinite(number))
      counts_.add(std::string_view(key_).substr(0, mark), number);
    return true;
  }

  StepValues values_;
  ExpertCounts counts_;
  std::string key_;
  int depth_ = 0;
  bool has_step_ = false;
};

}  // namespace

std::optional<StepValues> read_step_line(std::string_view line) {
  LineReader reader;
  if (!nlohmann::json::sax_parse(line, &reader)) return std::nullopt;
  return reader.result();
}

}  // namespace caravan::jobs

#include "jobs/forward/inputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/ops.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kFarthest = std::int64_t{1} << 40;  // position, so that sums of some fit
constexpr std::array<std::string_view, 4> kInputs{"input_ids", "labels", "attention_mask", "position_ids"};

/// Expected answers often stand beside the inputs that they belong to.
bool is_answer(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kBeginnings{"logits", "loss", "router.", "greedy_"};
  return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [&](std::string_view beginning) { return name.starts_with(beginning); });
}

class Inputs {
 public:
  Inputs(const std::string& path, std::int64_t vocab)
      : file_(path), vocab_(vocab), shape_(file_.info("input_ids").shape()) {
    CARAVAN_CHECK(shape_.rank() == 2 && shape_[0] > 0 && shape_[1] > 0, IoError,
                  fmt::format("{}: input_ids has {} axes (it must be [sequences, length], neither 0)", path,
                              shape_.rank()));
    check_names();
  }

  Sequences read() const {
    Sequences sequences{shape_[0], shape_[1], tokens("input_ids", false), {}};
    if (file_.has("attention_mask")) sequences.attended = mask();
    if (file_.has("position_ids")) sequences.positions = positions();
    sequences.has_labels = file_.has("labels");
    sequences.labels = shifted(sequences.has_labels ? tokens("labels", true) : sequences.tokens);
    forget_masked(sequences, sequences.has_labels);
    if (std::all_of(sequences.labels.begin(), sequences.labels.end(),
                    [](auto l) { return l == kIgnoredLabel; }))
      log_warning(fmt::format("{}: no label counts, so the loss is 0", file_.path()));
    return sequences;
  }

 private:
  void check_names() const {
    std::vector<std::string> unknown, answers;
    for (const std::string& name : file_.names()) {
      if (std::find(kInputs.begin(), kInputs.end(), name) != kInputs.end()) continue;
      (is_answer(name) ? answers : unknown).push_back(name);
    }
    CARAVAN_CHECK(unknown.empty(), IoError,
                  fmt::format("{} holds '{}' (inputs are {}). Misspelled?", file_.path(),
                              fmt::join(unknown, "', '"), fmt::join(kInputs, ", ")));
    if (!answers.empty())
      log_info(
          fmt::format("{}: {} are answers, not inputs; passed over", file_.path(), fmt::join(answers, ", ")));
  }

  std::vector<std::int64_t> values(const std::string& name) const {
    CARAVAN_CHECK(file_.info(name).shape() == shape_, IoError,
                  fmt::format("{}: {} has another shape than input_ids", file_.path(), name));
    return file_.read_as_i64(name);
  }

  /// "[1, 3]": sequence and token.
  std::string place(std::size_t at) const {
    const auto index = static_cast<std::int64_t>(at);
    return fmt::format("[{}, {}]", index / shape_[1], index % shape_[1]);
  }

  std::vector<std::int32_t> tokens(const std::string& name, bool may_be_ignored) const {
    std::vector<std::int32_t> ids;
    for (std::int64_t id : values(name)) {
      const bool known = (id >= 0 && id < vocab_) || (may_be_ignored && id == kIgnoredLabel);
      CARAVAN_CHECK(known, IoError,
                    fmt::format("{}: {} has token {} (the model's vocab_size is {}) at {}", file_.path(),
                                name, id, vocab_, place(ids.size())));
      ids.push_back(static_cast<std::int32_t>(id));
    }
    return ids;
  }

  std::vector<bool> mask() const {
    std::vector<bool> attended;
    for (std::int64_t value : values("attention_mask")) {
      CARAVAN_CHECK(value == 0 || value == 1, IoError,
                    fmt::format("{}: attention_mask has {} at {} (0: masked, 1: attended to)", file_.path(),
                                value, place(attended.size())));
      attended.push_back(value == 1);
    }
    CARAVAN_CHECK(std::find(attended.begin(), attended.end(), true) != attended.end(), IoError,
                  fmt::format("{}: attention_mask masks every token", file_.path()));
    return attended;
  }

  /// One row stands for all sequences.
  std::vector<std::int64_t> positions() const {
    const bool one_row = file_.info("position_ids").shape() == Shape{1, shape_[1]};
    const std::vector<std::int64_t> rows =
        one_row ? file_.read_as_i64("position_ids") : values("position_ids");
    std::vector<std::int64_t> all;
    while (all.size() < static_cast<std::size_t>(shape_.count()))
      all.insert(all.end(), rows.begin(), rows.end());
    const auto far =
        std::find_if(all.begin(), all.end(), [](auto p) { return p < -kFarthest || p > kFarthest; });
    CARAVAN_CHECK(far == all.end(), IoError,
                  fmt::format("{}: position_ids has {} (from {} to {} are read)", file_.path(), *far,
                              -kFarthest, kFarthest));
    return all;
  }

  /// Labels as transformers takes them: aligned with the tokens, so token t should predict labels[t+1]. The
  /// last position of a sequence predicts nothing.
  std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& labels) const {
    std::vector<std::int32_t> next(labels.size(), kIgnoredLabel);
    for (std::size_t at = 0; at + 1 < labels.size(); ++at)
      if ((static_cast<std::int64_t>(at) + 1) % shape_[1] != 0) next[at] = labels[at + 1];
    return next;
  }

  /// What a masked token predicts means nothing, so nobody may ask for it.
  void forget_masked(Sequences& sequences, bool given) const {
    if (sequences.attended.empty()) return;
    for (std::size_t at = 0; at < sequences.labels.size(); ++at) {
      std::int32_t& label = sequences.labels[at];
      if (label == kIgnoredLabel) continue;
      const bool masked = !sequences.attended[at];
      CARAVAN_CHECK(
          !given || !masked, IoError,
          fmt::format("{}: labels has token {} at {}, which the masked token before it would have to predict "
                      "(its logits mean nothing). Put {} there?",
                      file_.path(), label, place(at + 1), kIgnoredLabel));
      if (!given && (masked || !sequences.attended[at + 1])) label = kIgnoredLabel;
    }
  }

  io::SafetensorsFile file_;
  std::int64_t vocab_;
  Shape shape_;
};

}  // namespace

Sequences read_sequences(const std::string& path, std::int64_t vocab) {
  return Inputs(path, vocab).read();
}

void check_same_inputs(const io::SafetensorsFile& a, const io::SafetensorsFile& b) {
  for (const std::string_view name : kInputs) {
    if (!a.has(name) && !b.has(name)) continue;
    const auto& [with, without] = a.has(name) ? std::tie(a, b) : std::tie(b, a);
    CARAVAN_CHECK(without.has(name), IoError,
                  fmt::format("{} has {} and {} has none (their answers differ). Which inputs belong to it?",
                              with.path(), name, without.path()));
    CARAVAN_CHECK(
        a.info(name).extents == b.info(name).extents, IoError,
        fmt::format("{} of {} is [{}], of {} [{}]. Which inputs belong to it?", name, a.path(),
                    fmt::join(a.info(name).extents, ", "), b.path(), fmt::join(b.info(name).extents, ", ")));
    const std::vector<std::int64_t> of_a = a.read_as_i64(name), of_b = b.read_as_i64(name);
    const auto [in_a, in_b] = std::mismatch(of_a.begin(), of_a.end(), of_b.begin());
    CARAVAN_CHECK(in_a == of_a.end(), IoError,
                  fmt::format("{} of {} has {} at element {}, of {} {}. Which inputs belong to it?", name,
                              a.path(), *in_a, in_a - of_a.begin(), b.path(), *in_b));
  }
}

}  // namespace caravan::jobs

#include "io/data/safetensors_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/files/digest.hpp"
#include "io/safetensors/reader.hpp"

namespace caravan::io {
namespace {

constexpr std::int32_t kIgnored = -100;

struct Rows {
  std::int64_t count = 0, length = 0;
  std::vector<std::int64_t> leading;
};

Rows rows_of(const SafetensorsFile& file, std::string_view name) {
  std::vector<std::int64_t> extents = file.info(name).extents;
  CARAVAN_CHECK(!extents.empty() && file.info(name).count() > 0, IoError,
                fmt::format("{}: tensor {} has no rows of tokens (shape [{}]). Is it the right file?",
                            file.path(), name, fmt::join(extents, ", ")));
  const std::int64_t length = extents.back();
  extents.pop_back();
  return {static_cast<std::int64_t>(file.info(name).count()) / length, length, extents};
}

std::vector<std::int32_t> read_ids(const SafetensorsFile& file, std::string_view name,
                                   std::int64_t also_allowed) {
  const std::vector<std::int64_t> wide = file.read_as_i64(name);
  std::vector<std::int32_t> ids;
  ids.reserve(wide.size());
  for (std::int64_t id : wide) {
    CARAVAN_CHECK((id >= 0 && id < std::numeric_limits<std::int32_t>::max()) || id == also_allowed, IoError,
                  fmt::format("{}: tensor {} holds {} (token ids are not negative). Is it the right tensor?",
                              file.path(), name, id));
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

}  // namespace

SafetensorsSource::SafetensorsSource(const Host&, const Config& config)
    : path_(config.get_string("path")),
      wraps_(config.get_bool("wrap")),
      length_(config.get_int("sequence_length")) {
  const SafetensorsFile file(path_);
  const Rows rows = rows_of(file, "tokens");
  const bool has_labels = file.has("labels");
  rows_ = rows.count;
  row_tokens_ = rows.length;
  CARAVAN_CHECK(
      rows.length == length_ + 1 || (has_labels && rows.length == length_), ConfigError,
      fmt::format("{}: rows of {} tokens{} (sequence_length={} needs {}). Set sequence_length={}?", path_,
                  rows.length, has_labels ? " with labels" : "", length_, length_ + 1, rows.length - 1));
  tokens_ = read_ids(file, "tokens", 0);
  vocab_size_ = *std::ranges::max_element(tokens_) + 1;
  if (!has_labels) return;
  const Rows labels = rows_of(file, "labels");
  CARAVAN_CHECK(
      labels.length == length_ && labels.leading == rows.leading, IoError,
      fmt::format("{}: labels are [{}, {}] (tokens need [{}, {}]). Is it the right file?", path_,
                  fmt::join(labels.leading, ", "), labels.length, fmt::join(rows.leading, ", "), length_));
  labels_ = read_ids(file, "labels", kIgnored);
  vocab_size_ = std::max<std::int64_t>(vocab_size_, *std::ranges::max_element(labels_) + 1);
  warn_of_unshifted_labels();
}

/// Labels that others shift while they read look like this; a model would learn to copy its input.
void SafetensorsSource::warn_of_unshifted_labels() const {
  std::int64_t valid = 0, copies = 0;
  for (std::int64_t at = 0; at < rows_ * length_; ++at) {
    const std::int32_t label = labels_[static_cast<std::size_t>(at)];
    valid += label != kIgnored;
    copies += label == tokens_[static_cast<std::size_t>(at / length_ * row_tokens_ + at % length_)];
  }
  if (valid > 1 && copies > valid - valid / 10)
    log_warning(
        fmt::format("{}: {} of {} labels are the token itself (labels[t] must be what follows tokens[t]). "
                    "Shift them by one, or leave them out?",
                    path_, copies, valid));
}

void SafetensorsSource::read(std::int64_t index, const Sample& sample) {
  CARAVAN_EXPECT(sample.tokens.size() == static_cast<std::size_t>(length_));
  CARAVAN_CHECK(index >= 0, IoError, fmt::format("there is no sample {}", index));
  CARAVAN_CHECK(
      wraps_ || index < rows_, IoError,
      fmt::format("{}: sample {} of {} (the file has no more rows). Fewer steps, or data.wrap: true?", path_,
                  index, rows_));
  const std::int64_t row = index % rows_;
  const auto tokens = tokens_.begin() + row * row_tokens_;
  std::copy_n(tokens, length_, sample.tokens.begin());
  const auto labels = labels_.empty() ? tokens + 1 : labels_.begin() + row * length_;
  std::copy_n(labels, length_, sample.labels.begin());
}

DataIdentity SafetensorsSource::identity() const {
  Digest digest;
  digest.add(std::as_bytes(std::span(&row_tokens_, 1)));
  digest.add(std::as_bytes(std::span(tokens_)));
  digest.add(std::as_bytes(std::span(labels_)));
  return {"xxh3:" + digest.text(), "", "", rows_ * length_};
}

}  // namespace caravan::io

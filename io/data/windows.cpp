#include "io/data/windows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::int32_t kIgnored = -100;

Split split_named(const std::string& name) {
  if (name == "validation") return Split::validation;
  return name == "all" ? Split::all : Split::train;
}

struct Range {
  std::int64_t begin = 0, size = 0;
};

Range range_of(std::int64_t tokens, const WindowOptions& options) {
  const auto held_out = static_cast<std::int64_t>(options.validation_fraction * static_cast<double>(tokens));
  if (options.split == Split::validation) return {tokens - held_out, held_out};
  return {0, options.split == Split::train ? tokens - held_out : tokens};
}

std::int64_t count_windows(const TokenStream& stream, const WindowOptions& options) {
  const std::int64_t window = options.sequence_length + 1;
  const Range range = range_of(stream.size(), options);
  CARAVAN_CHECK(
      range.size >= window, ConfigError,
      fmt::format(
          "{} of {} tokens with validation_fraction={} (one sample needs sequence_length + 1 = {}). More "
          "text, another validation_fraction, or shorter sequences?",
          range.size, stream.size(), options.validation_fraction, window));
  return range.size / window;
}

}  // namespace

WindowOptions window_options(const Config& config) {
  return {.sequence_length = config.get_int("sequence_length"),
          .split = split_named(config.get_string("split")),
          .validation_fraction = config.get_float("validation_fraction"),
          .order = config.get_bool("shuffle") ? Order::shuffled : Order::sequential,
          .seed = static_cast<std::uint64_t>(config.get_int("seed")),
          .document_mask = config.get_bool("document_mask"),
          .ignore_border_labels = config.get_bool("ignore_border_labels")};
}

WindowSource::WindowSource(std::unique_ptr<TokenStream> stream, const WindowOptions& options)
    : stream_(std::move(stream)),
      options_(options),
      first_token_(range_of(stream_->size(), options).begin),
      samples_(count_windows(*stream_, options)),
      left_over_(range_of(stream_->size(), options).size - samples_ * (options.sequence_length + 1)),
      order_(static_cast<std::uint64_t>(samples_), {options.seed, hash_name("data order")}) {}

void WindowSource::read(std::int64_t index, const Sample& sample) {
  CARAVAN_CHECK(index >= 0, IoError, fmt::format("there is no sample {}", index));
  CARAVAN_EXPECT(sample.tokens.size() == static_cast<std::size_t>(options_.sequence_length) &&
                 sample.labels.size() == sample.tokens.size());
  const auto place = static_cast<std::uint64_t>(index % samples_);
  const auto epoch = static_cast<std::uint64_t>(index / samples_);
  const std::uint64_t window = options_.order == Order::shuffled ? order_.at(place, epoch) : place;
  const std::int64_t begin =
      first_token_ + static_cast<std::int64_t>(window) * (options_.sequence_length + 1);
  stream_->read(begin, sample.tokens.first(1));
  stream_->read(begin + 1, sample.labels);
  std::copy_n(sample.labels.begin(), sample.labels.size() - 1, sample.tokens.begin() + 1);
  if (options_.document_mask || options_.ignore_border_labels) mark_documents(begin, sample);
}

void WindowSource::mark_documents(std::int64_t begin, const Sample& sample) const {
  const auto starts = stream_->document_starts();
  auto next = std::ranges::upper_bound(starts, begin);
  std::int32_t document = 0;
  const auto length = static_cast<std::int64_t>(sample.tokens.size());
  for (std::int64_t t = 0; t < length; ++t) {
    if (options_.document_mask) sample.documents[static_cast<std::size_t>(t)] = document;
    if (next == starts.end() || *next != begin + t + 1) continue;
    ++next;
    ++document;
    if (options_.ignore_border_labels) sample.labels[static_cast<std::size_t>(t)] = kIgnored;
  }
}

}  // namespace caravan::io

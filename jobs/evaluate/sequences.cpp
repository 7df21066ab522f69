#include "jobs/evaluate/sequences.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// What a model that was made for more is usually measured on.
constexpr std::int64_t kUsualLength = 2048;

std::int64_t usual_length(const ModelSource& source) {
  if (source.positions == 0) return kUsualLength;
  return source.checkpoint.empty() ? std::min(source.positions, kUsualLength) : source.positions;
}

}  // namespace

std::int64_t sequence_length(const EvaluateOptions& options, const ModelSource& source) {
  const std::int64_t asked = options.windows.sequence_length;
  if (asked == 0) return usual_length(source);
  CARAVAN_CHECK(source.positions == 0 || asked <= source.positions, ConfigError,
                fmt::format("--sequence-length {} ({} was made for {} positions). --sequence-length {}?",
                            asked, options.model, source.positions, source.positions));
  return asked;
}

CutData cut(const EvaluateOptions& options, std::unique_ptr<io::TokenStream> tokens, std::int64_t length,
            std::int64_t least_length) {
  CutData data;
  if (options.per_document) {
    auto documents = std::make_unique<DocumentSource>(std::move(tokens), length, least_length);
    data.documents = documents.get();
    data.source = std::move(documents);
    data.sequences = data.source->samples();
    return data;
  }
  io::WindowOptions windows = options.windows;
  windows.sequence_length = length;
  auto stream = std::make_unique<io::WindowSource>(std::move(tokens), windows);
  const std::int64_t all = stream->samples(), most = options.most_sequences;
  data.sequences = most < 0 ? all : std::min(all, most);
  if (most > all)
    log_info(
        fmt::format("--sequences {}: the data has {}, which are measured", most, counted(all, "sequence")));
  data.left_out = stream->left_over() + (all - data.sequences) * (length + 1);
  data.source = std::move(stream);
  return data;
}

}  // namespace caravan::jobs

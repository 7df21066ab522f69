#include "jobs/evaluate/padded_source.hpp"

#include <algorithm>

#include "caravan/ops.hpp"

namespace caravan::jobs {

void fill_up(const Sample& sample, std::int64_t vocab_size) {
  for (std::size_t at = 0; at < sample.tokens.size(); ++at)
    sample.tokens[at] = static_cast<std::int32_t>(at % static_cast<std::size_t>(vocab_size));
  std::ranges::fill(sample.labels, kIgnoredLabel);
  std::ranges::fill(sample.documents, 0);
}

void PaddedSource::read(std::int64_t index, const Sample& sample) {
  if (index < samples_)
    source_.read(index, sample);
  else
    fill_up(sample, vocab_size());
}

}  // namespace caravan::jobs
